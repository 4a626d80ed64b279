"""`trunkline spend`: what was spent, by whom and on what; what was saved; and what the day will have cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from trunkline.budget.book import Standing
    from trunkline.bus import Bus
    from trunkline.cli.settings import CliSettings


class By(StrEnum):
    user = "user"
    conversation = "conversation"
    agent = "agent"
    tool = "tool"
    model = "model"
    route = "route"
    day = "day"
    lever = "lever"


@dataclass(frozen=True, slots=True)
class Found:
    """The ledger's answers, as plain JSON: of the span that was asked for, of today, of today's last hour. `now` is the
    server's. `standing` is the tenant's for today.
    """

    now: datetime
    since: datetime
    until: datetime | None
    spend: dict[str, Any]
    today: dict[str, Any]
    lately: dict[str, Any]
    standing: Standing | None

    @property
    def is_today(self) -> bool:
        from trunkline.cli.forecast import began

        return self.since == began(self.now) and self.until is None


def spend(
    by: Annotated[By, typer.Option("--by", help="How to split it.")] = By.agent,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Calls that began then or later: 7d (ago), ISO 8601. Else today, UTC.")
    ] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Calls that began before then.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The dearest so many one by one.")] = 20,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """What was spent, on whom and what, to the picodollar.

    Every way to split it adds up to the same total. A call counts when it began; what an agent delegates is its user's;
    what a model call cost is split over the tools that it asked for. `--by lever` shows what was saved, and how.
    """
    from trunkline.cli.console import print_json
    from trunkline.cli.session import run
    from trunkline.cli.spend_view import show

    found = run(_found(url, by.value, since, until, limit))
    if as_json:
        print_json(_as_data(found))
    else:
        show(found)


async def _found(url: str, by: str, since: str, until: str, limit: int) -> Found:
    from trunkline.bus.streams import server_now
    from trunkline.cli.forecast import HOUR, began
    from trunkline.cli.moments import moment
    from trunkline.cli.session import on_trunkline
    from trunkline.cli.settings import CliSettings
    from trunkline.client.query import query
    from trunkline.contracts.errors import InvalidArguments
    from trunkline.contracts.subjects import TRUNK

    settings = CliSettings.load()
    tenant = settings.tenant
    first, end = moment(since, "--since"), moment(until, "--until")
    async with on_trunkline(url) as bus:
        now = await server_now(bus, TRUNK)
        midnight = began(now)
        first = first or min(midnight, midnight if end is None else began(end - timedelta(microseconds=1)))
        if end is not None and end <= first:
            raise InvalidArguments(f"--until {until[:40]!r} is not after {first:%Y-%m-%d %H:%M} UTC.", "Give it later.")

        async def asked(since: datetime, *, limit: int = 1, by: str = By.day, until: datetime | None = None) -> Any:
            return await query(bus, "ledger", "spend", by=by, since=since, until=until, limit=limit, tenant=tenant)

        return Found(
            now=now,
            since=first,
            until=end,
            spend=await asked(first, limit=limit, by=by, until=end),
            today=await asked(midnight),
            lately=await asked(max(midnight, now - HOUR)),
            standing=await _standing(bus, settings),
        )


async def _standing(bus: Bus, settings: CliSettings) -> Standing | None:
    """What stands in the tenant's budget for today."""
    from trunkline.budget import BudgetSettings, Kind
    from trunkline.budget.book import standings

    kind: Kind = "tenant-day"
    found = await standings(bus, BudgetSettings.load(settings.config), settings.tenant, kinds=[kind])
    return next((each for each in found if each.who == settings.tenant), None)


def _as_data(found: Found) -> dict[str, Any]:
    from trunkline.cli.budget_view import as_data
    from trunkline.cli.spend_view import forecast_of

    expected = forecast_of(found)
    today = {
        **found.today["total"],
        "saved": found.today["saved"],
        "last_hour": found.lately["total"]["cost"],
        "forecast": {"low": f"{expected.low:.6f}", "high": f"{expected.high:.6f}"} if expected else None,
        "budget": as_data(found.standing) if found.standing else None,
    }
    return {"since": found.since, "until": found.until, "now": found.now, **found.spend, "today": today}
