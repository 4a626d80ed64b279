"""`trunkline router backtest`: questions that were asked before, decided anew by other settings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from rich.text import Text

    from trunkline.bus import Bus
    from trunkline.cli.backtest_log import Past
    from trunkline.cli.backtest_report import Bill, Change, Decision, Report, Shown

SETTINGS = ("router_confident", "router_hard", "router_model", "routes")
OF_A_ROUTE = ("description", "examples")
PAGE = 50
SHOWN_PAGE = 16
"""Questions that the hosted model is shown in one query: after Ctrl-C, the router ends the one under way."""
WAIT_SECONDS = 120.0
"""For a page; before the first one, the router learns the routes once more."""
SHOWN = 20


def backtest(
    since: Annotated[str, typer.Option(metavar="TIME", help="Questions from then on: 7d (ago), or ISO 8601.")] = "7d",
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", help="The candidate: a TOML file. Else the router's own settings.", show_default=False
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest so many questions.")] = 1000,
    hosted: Annotated[bool, typer.Option("--hosted", help="Ask the candidate's router_model: it costs.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --hosted: do not ask first.")] = False,
    user: Annotated[str, typer.Option("--user", "-u", help="Who pays for --hosted. Else TRUNKLINE_USER.")] = "",
    url: Url = "",
    as_json: Json = False,
) -> None:
    """What a candidate's settings would change about the questions that were asked.

    The file may set router_confident, router_hard and router_model, and in [routes.AGENT] description and examples.

    The router decides with the agents that run now, and with what feedback had taught it before that time. Nothing is
    written, and no model is asked, but with --hosted: it says first what that may cost, within the budgets of who asks.
    """
    from trunkline.cli.console import out, print_json, print_lines, say
    from trunkline.cli.moments import moment
    from trunkline.cli.session import run
    from trunkline.contracts.errors import InvalidArguments

    begin = moment(since, "--since")
    if begin is None:
        raise InvalidArguments("--since is empty.", "Write 7d, or a time like 2026-01-31T09:30.")
    showing = Showing(user, sure=yes) if hosted else None
    found = run(_backtest(url, begin, limit, candidate_of(config), showing))
    if as_json:
        print_json(found.as_data())
    else:
        for line in _head(found):
            say(out(), line)
        print_lines(_lines(found))


@dataclass(frozen=True, slots=True)
class Showing:
    """What the candidate would show its hosted model is shown to it: who pays, and whether they are `sure`."""

    user: str
    sure: bool


def candidate_of(path: Path | None) -> dict[str, Any]:
    """What the file says. Raises InvalidSettings."""
    from trunkline.contracts.errors import InvalidSettings
    from trunkline.settings_file import read_settings, refuse_unknown, table_of

    if path is None:
        return {}
    where, document = read_settings(path)
    refuse_unknown(document, SETTINGS, "the file", where)
    for agent, table in table_of(document, "routes", where).items():
        if not isinstance(table, dict):
            raise InvalidSettings(f"{where}: routes.{agent} is not a table.", f"Write [routes.{agent}].")
        refuse_unknown(table, OF_A_ROUTE, f"[routes.{agent}]", where)
    return document


async def _backtest(
    url: str, since: datetime, limit: int, candidate: dict[str, Any], showing: Showing | None
) -> Report:
    from trunkline.cli.backtest_log import length_since, read_pasts
    from trunkline.cli.backtest_report import report
    from trunkline.cli.console import err
    from trunkline.cli.progress import progress
    from trunkline.cli.session import on_trunkline
    from trunkline.cli.settings import CliSettings
    from trunkline.contracts.errors import NotFound

    settings = CliSettings.load()
    async with on_trunkline(url) as bus:
        with progress(err(), "reading the log", await length_since(bus, since)) as step:
            pasts = (await read_pasts(bus, since, settings.tenant, step)).decided[-limit:]
        if not pasts:
            raise NotFound("No question was routed in that time.", "Go back further, with --since.")
        ways = {"since": since, "candidate": candidate, "tenant": settings.tenant}
        with progress(err(), "deciding anew", len(pasts)) as step:
            now, new, bill = await _decided(bus, pasts, step, hosted="priced" if showing else "left", **ways)
        if not showing:
            return report(pasts, now, new)
        if any(each.unasked for each in new) and not showing.sure:
            _confirm(sum(each.unasked for each in new), bill)
        shown = await _shown(bus, pasts, new, user=showing.user or settings.user, **ways)
    return report(pasts, now, new, shown)


def _confirm(count: int, bill: Bill) -> None:
    from trunkline.cli.confirming import confirm
    from trunkline.cli.figures import counted, dollars

    calls = f"{counted(count, 'call')} of the hosted model at most, which may cost "
    calls += "what nobody knows" if bill.unknown else f"{dollars(str(bill.cost))} at worst"
    confirm(f"{calls}. Go on?", whether=f"make {calls}")


async def _shown(bus: Bus, pasts: Sequence[Past], new: list[Decision], **ways: Any) -> Shown:
    """What the hosted model is to see, page by page until the budgets allow none; `new` is decided by what it says."""
    from trunkline.cli.backtest_report import Bill, Shown
    from trunkline.cli.console import err
    from trunkline.cli.progress import progress

    # The same words stand beside each other: of one page, they are asked about once.
    left = sorted((place for place, each in enumerate(new) if each.unasked), key=lambda place: pasts[place].question)
    bill, shown, why = Bill(), 0, ""
    with progress(err(), "asking the hosted model", len(left)) as step:
        for start in range(0, len(left), SHOWN_PAGE):
            page = left[start : start + SHOWN_PAGE]
            asked = [pasts[each] for each in page]
            with _on_their_way(shown, len(page), ways["user"]):
                _, said, cost = await _decided(bus, asked, lambda _: None, hosted="asked", **ways)
            for place, decision in zip(page, said, strict=True):
                new[place] = decision
            refused = [each.why for each in said if each.why]
            bill, shown, why = bill + cost, shown + len(page) - len(refused), refused[-1] if refused else why
            if len(refused) == len(page):
                break
            step(start + len(page))
    return Shown(shown, bill, len(left) - shown, why)


@contextlib.contextmanager
def _on_their_way(shown: int, more: int, user: str) -> Iterator[None]:
    """Whoever breaks it off is told what was paid, and what the router still pays."""
    from trunkline.cli.console import err, say, text
    from trunkline.cli.figures import counted

    try:
        yield
    except asyncio.CancelledError:
        before = f" after {counted(shown, 'question')}" if shown else ""
        under_way = f"the router still shows the hosted model those under way, {more:,} at most"
        cost = f"`trunkline runs{f' --user {user}' if user else ''}` says what they cost"
        say(err(), text(f"Stopped{before}; {under_way}. {cost}."))
        raise


async def _decided(
    bus: Bus, pasts: Sequence[Past], step: Callable[[int], None], **ways: Any
) -> tuple[list[Decision], list[Decision], Bill]:
    """By the router's own settings, and by the candidate's; and what the hosted model may cost, or did."""
    from trunkline.cli.backtest_report import Bill
    from trunkline.client.query import query

    now: list[Decision] = []
    new: list[Decision] = []
    bill = Bill()
    for start in range(0, len(pasts), PAGE):
        page = pasts[start : start + PAGE]
        asked = [{"text": past.question, "agent": past.asked_for, "partner": past.partner} for past in page]
        found = await query(bus, "router", "backtest", wait=WAIT_SECONDS, questions=asked, **ways)
        now += map(_read, found["now"])
        new += map(_read, found["candidate"])
        hosted = found.get("hosted") or {}
        bill += Bill(Decimal(hosted.get("cost", "0")), hosted.get("unknown", 0))
        step(len(new))
    return now, new, bill


def _read(decided: dict[str, Any]) -> Decision:
    from trunkline.cli.backtest_report import Decision

    return Decision(
        agent=decided.get("agent", ""),
        tier=decided.get("tier", ""),
        source=decided.get("source", ""),
        refusal=decided.get("refusal", ""),
        unasked=decided.get("unasked", False),
        why=decided.get("why", ""),
        ms=decided.get("ms", 0.0),
    )


def _head(found: Report) -> list[Text]:
    from trunkline.cli.console import text

    share = found.agreed / found.questions
    stay = f"{found.agreed:,} of {found.questions:,} questions stay where they were"
    return [text((stay, "head"), f"  {share:.1%}"), *_hosted_lines(found), _cost_line(found), _time_line(found)]


def _lines(found: Report) -> list[Text]:
    from trunkline.cli.console import clean, text

    lines = []
    if found.moves:
        lines += [text(), text(("What moves", "head"))]
        width = max(len(clean(old)) for old, _, _ in found.moves)
        lines += [
            text(f"  {count:>6,}  ", (f"{clean(old):<{width}}", "name"), (" → ", "faint"), (clean(new), "name"))
            for old, new, count in found.moves[:SHOWN]
        ]
        lines += [text(), text(("What to look at", "head"), ("  those with feedback first", "faint"))]
        lines += [_change_line(change) for change in found.changes[:SHOWN]]
    left = len(found.changes) - SHOWN
    return [*lines, text((f"  and {left:,} more: --json has all of them", "faint"))] if left > 0 else lines


def _hosted_lines(found: Report) -> list[Text]:
    from trunkline.cli.console import clean, text
    from trunkline.cli.figures import counted, dollars

    shown = found.shown
    if shown is None:
        nobody = f"{found.unasked:,} would be shown to the hosted model first; here nobody asked it (--hosted does)"
        return [text((nobody, "hint"))] if found.unasked else []
    if not shown.questions and not shown.refused:
        return [text(("No question needs the hosted model", "faint"))]
    cost = dollars(str(shown.bill.cost), known=not shown.bill.unknown)
    said = f"{counted(shown.questions, 'question')} shown to the hosted model for {cost}"
    silent = found.unasked - shown.refused
    said += f"; of {silent:,} it said nothing" if silent else ""
    lines = [text((said, "hint" if silent else "faint"))]
    return (
        [*lines, text((f"{shown.refused:,} not shown to it: {clean(shown.why)}", "warn"))] if shown.refused else lines
    )


def _cost_line(found: Report) -> Text:
    from trunkline.cli.console import text
    from trunkline.cli.figures import counted, dollars

    cost = found.cost
    unknown = f"; without {counted(cost.unknown, 'question')} of unknown cost" if cost.unknown else ""
    return text(
        f"{dollars(str(cost.decided))} → {dollars(str(cost.candidate))}",
        (f"  each at the mean cost of its agent and tier{unknown}", "faint"),
    )


def _time_line(found: Report) -> Text:
    from trunkline.cli.backtest_report import percentile
    from trunkline.cli.console import text
    from trunkline.cli.figures import duration

    sides = [
        f"{duration(percentile(taken, 50))} (95 %: {duration(percentile(taken, 95))})"
        for taken in (found.now, found.candidate)
    ]
    return text(f"{sides[0]} → {sides[1]}", ("  per decision", "faint"))


def _change_line(change: Change) -> Text:
    from trunkline.cli.backtest_report import place
    from trunkline.cli.console import clean, text
    from trunkline.cli.figures import short

    mark, style = {True: ("right", "good"), False: ("wrong", "bad"), None: ("?", "faint")}[change.right]
    old = place(change.past.agent, change.past.tier)
    moved = f"{clean(old)} → {clean(change.new.place)}  "
    return text((f"  {mark:<6}", style), (f"{short(change.past.run)}  ", "faint"), moved, clean(change.past.question))
