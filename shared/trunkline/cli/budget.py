"""`trunkline budget`: how the budgets stand, and what may be spent from now on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from trunkline.budget import BudgetSettings, Kind
    from trunkline.budget.book import Standing
    from trunkline.bus import Bus
    from trunkline.prices import Money

For = Annotated[
    str | None,
    typer.Option("--for", metavar="NAME", help="Whose: a user, an agent, a conversation, a run.", show_default=False),
]
KindName = Annotated[
    str,
    typer.Argument(
        metavar="KIND",
        help="run, conversation, user-day, agent-day, tenant-day or tenant-month.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Rule:
    """What one kind of budget allows those who have no limit of their own. `at`: since when, if somebody set it."""

    kind: Kind
    amount: Money | None
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Book:
    """All there is to see, at `now` by the server's clock."""

    now: datetime
    rules: list[Rule]
    standings: list[Standing]


def show(
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="Only of this kind.", show_default=False)] = "",
    for_: For = None,
    limit: Annotated[int, typer.Option(min=1, help="The fullest so many of each kind.")] = 5,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """How the budgets stand now: spent, with what is held back for calls under way, of which limit.

    The fullest first; from 80 % on they are marked. Days and months are those of UTC.
    """
    from trunkline.cli.budget_view import as_data, fullest, show_book
    from trunkline.cli.console import clean, out, print_json, say, text
    from trunkline.cli.session import run

    book = run(_book(url, kind, for_))
    if as_json:
        rules = [{"kind": each.kind, "limit": _said(each.amount), "by": each.by, "at": each.at} for each in book.rules]
        budgets = [as_data(each) for each in fullest(book.standings)]
        print_json({"now": book.now, "rules": rules, "budgets": budgets})
        return
    show_book(book.rules, book.standings, book.now, limit=limit)
    if for_ and not book.rules:
        none = f"Nothing was spent for {clean(for_)}, and no limit was set that is theirs alone."
        say(out(), text((none, "faint")))


def set_limit(
    kind: KindName,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="US dollars, like 2.50; `none` lifts the limit.")],
    for_: For = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Set a limit, from now on and in every window: for one, or for all who have none of their own.

    It holds in every worker within a second.
    """

    async def change(bus: Bus, tenant: str, kind: Kind, who: str | None, by: str) -> None:
        from trunkline.budget.book import set_limit

        await set_limit(bus, tenant, kind, who, said, by)

    said = _amount(amount)
    _change(url, kind, for_, change, as_json=as_json)


def top_up(
    kind: KindName,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="US dollars more, like 2.50.")],
    for_: For = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Allow more in the present window only: today, this month, this run."""
    from trunkline.contracts.errors import InvalidArguments

    said = _amount(amount)
    if said is None:
        raise InvalidArguments(
            "A budget cannot be topped up by `none`.", "`trunkline budget set KIND none` lifts a limit."
        )

    async def change(bus: Bus, tenant: str, kind: Kind, who: str | None, by: str) -> None:
        from trunkline.budget.book import top_up

        await top_up(bus, tenant, kind, who, said, by)

    _change(url, kind, for_, change, as_json=as_json)


Change = Callable[["Bus", str, "Kind", str | None, str], Coroutine[Any, Any, None]]


def _change(url: str, kind: str, for_: str | None, change: Change, *, as_json: bool) -> None:
    """Do it, and say what is in force now."""
    from trunkline.cli.budget_view import as_data, lines_of
    from trunkline.cli.console import out, print_json, print_lines, say, text
    from trunkline.cli.figures import dollars
    from trunkline.cli.session import run

    standing, rule, now = run(_changed(url, kind, for_, change))
    if as_json:
        in_force = as_data(standing) if standing else {"kind": rule.kind, "who": "", "limit": _said(rule.amount)}
        print_json({"in_force": in_force, "since": now})
        return
    if standing:
        print_lines([text((standing.kind, "name"), "  ", *lines_of([standing]))])
    else:
        allowed = dollars(str(rule.amount)) if rule.amount is not None else "no limit"
        whose = f"each {rule.kind.partition('-')[0]} that has no limit of its own"
        say(out(), text((rule.kind, "name"), ": ", (allowed, "head"), f" for {whose}"))
    say(out(), text((f"In force since {now:%Y-%m-%d %H:%M:%S} UTC, in every worker within a second.", "faint")))


async def _changed(url: str, kind: str, for_: str | None, change: Change) -> tuple[Standing | None, Rule, datetime]:
    """The budget as it stands now, None for everybody's; and what everybody has."""
    import getpass

    from trunkline.budget import BudgetSettings
    from trunkline.budget.book import OF_TENANT, checked_kind, standings
    from trunkline.bus.streams import server_now
    from trunkline.cli.session import on_trunkline
    from trunkline.cli.settings import CliSettings
    from trunkline.contracts.subjects import TRUNK

    checked, who = checked_kind(kind), _named(for_)
    cli = CliSettings.load()
    settings = BudgetSettings.load(cli.config)
    async with on_trunkline(url) as bus:
        if who and checked == "run":
            who = await _asked_run(bus, who)
        await change(bus, cli.tenant, checked, who, cli.user or getpass.getuser())
        now = await server_now(bus, TRUNK)
        rules = await _rules(bus, settings, cli.tenant, now)
        who = cli.tenant if checked in OF_TENANT else who
        found = await standings(bus, settings, cli.tenant, kinds=(checked,)) if who else []
    standing = next((each for each in found if each.who == who), None)
    return standing, next(rule for rule in rules if rule.kind == checked), now


def _named(who: str | None) -> str | None:
    """None is everybody, an empty name nobody: it would be meant for one, and hold for all. Raises InvalidArguments."""
    from trunkline.contracts.errors import InvalidArguments

    if who is None or who.strip():
        return who
    raise InvalidArguments(
        "`--for` is given an empty name.", "Name them, or leave it out; who asks without a name is `anonymous`."
    )


async def _asked_run(bus: Bus, run: str) -> str:
    """The whole id of what a user asked, whose budget the runs share that agents asked for. Raises NotFound."""
    from trunkline.cli.log_reading import FULL_ID
    from trunkline.client.query import query

    if len(run) >= FULL_ID:
        return run
    summary = (await query(bus, "ledger", "run", run=run))["summary"]
    while summary["parent"]:
        summary = (await query(bus, "ledger", "run", run=summary["parent"]))["summary"]
    return str(summary["run"])


async def _book(url: str, kind: str, for_: str | None) -> Book:
    from trunkline.budget import KINDS, BudgetSettings
    from trunkline.budget.book import checked_kind, standings
    from trunkline.bus.streams import server_now
    from trunkline.cli.session import on_trunkline
    from trunkline.cli.settings import CliSettings
    from trunkline.contracts.subjects import TRUNK

    kinds, for_ = (checked_kind(kind),) if kind else KINDS, _named(for_)
    cli = CliSettings.load()
    tenant, settings = cli.tenant, BudgetSettings.load(cli.config)
    async with on_trunkline(url) as bus:
        now = await server_now(bus, TRUNK)
        found = await standings(bus, settings, tenant, kinds=kinds)
        rules = await _rules(bus, settings, tenant, now)
    mine = [each for each in found if not for_ or each.who.startswith(for_)]
    told = {each.kind for each in mine} if for_ else kinds
    return Book(now, [rule for rule in rules if rule.kind in told], mine)


async def _rules(bus: Bus, settings: BudgetSettings, tenant: str, now: datetime) -> list[Rule]:
    from trunkline.budget import KINDS
    from trunkline.budget.overrides import Overrides, limit_key

    overrides = Overrides(settings)
    async with overrides.watching(bus):
        rules = []
        for kind in reversed(KINDS):
            limit, was_set = overrides.limit(tenant, kind, "", now), overrides.limits.get(limit_key(tenant, kind, ""))
            amount = limit.amount if limit else None
            rules.append(Rule(kind, amount, was_set.by, was_set.at) if was_set else Rule(kind, amount))
        return rules


def _amount(text: str) -> Money | None:
    """Raises InvalidArguments."""
    from trunkline.budget.settings import amount_of
    from trunkline.contracts.errors import InvalidArguments

    try:
        return amount_of(text.strip().removeprefix("$").lower())
    except ValueError as error:
        what, _, hint = str(error).partition(". ")
        raise InvalidArguments(f"{what}.", hint) from None


def _said(amount: Money | None) -> str | None:
    return str(amount) if amount is not None else None
