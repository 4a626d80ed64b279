"""`trunkline totals`: how much was asked, what it cost, where the time went."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from trunkline.cli.ledger_json import Lever, Totals

STAGES = {
    "route": "until routed",
    "queue": "until a worker began",
    "model": "in model calls",
    "tool": "in tool calls",
    "total": "altogether",
}


def totals(
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Runs that began then or later: 10m (ago), ISO 8601.")
    ] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Runs that began before then.")] = "",
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Runs, spending, latency: by agent, model and tool."""
    from trunkline.cli.console import print_json
    from trunkline.cli.ledger_json import Totals, read
    from trunkline.cli.moments import moment
    from trunkline.cli.runs import asked_of_ledger
    from trunkline.cli.session import run

    span = {"since": moment(since, "--since"), "until": moment(until, "--until")}
    found = run(asked_of_ledger(url, "totals", **span))
    if as_json:
        print_json(found)
    else:
        _show(read(found, Totals))


def _show(found: Totals) -> None:
    from trunkline.cli.console import out, say, text

    _headline(found)
    for show in (_agents, _models, _tools, _stages):
        show(found)
    if found.problems or found.gaps:
        said = f"{found.problems:,} messages could not be read, {found.gaps:,} gaps in the log"
        out().print()
        say(out(), text((said, "warn")))


def _headline(found: Totals) -> None:
    from trunkline.cli.bars import labelled
    from trunkline.cli.console import clean, out, say, text
    from trunkline.cli.figures import count, counted, dollars

    amounts = found.amounts
    by_status = ", ".join(f"{count(number)} {clean(status)}" for status, number in sorted(found.by_status.items()))
    parts = [counted(found.events, "event"), counted(amounts.model_calls, "model call")]
    parts += [f"{count(amounts.input_tokens)} + {count(amounts.output_tokens)} tokens"]
    parts += [counted(amounts.takeovers, "takeover")] if amounts.takeovers else []
    spent = dollars(amounts.cost, known=amounts.cost_known)
    out().print(
        text((counted(found.runs, "run"), "head"), f"  {by_status}" if by_status else "", "  ", (spent, "head"))
    )
    say(out(), text((" · ".join(parts), "faint")))
    if found.levers:
        labelled("saved", saved_line(found.amounts.saved, found.levers))


def saved_line(saved: str, levers: Sequence[Lever]) -> Text:
    """How much, and by what."""
    from trunkline.cli.console import clean, text
    from trunkline.cli.figures import count, dollars
    from trunkline.cli.note_words import lever_words

    each = [
        f"{_saved_by(lever)} {clean(lever_words(lever.lever))} ({count(lever.times)}×)"
        for lever in sorted(levers, key=lambda lever: -Decimal(lever.saved))
    ]
    amount = dollars(saved, known=all_known(levers))
    return text((amount, "good"), ("  " + " · ".join(each), "faint"))


def _saved_by(lever: Lever) -> str:
    """In money; in tokens where nobody knows the price of any of them."""
    from trunkline.cli.figures import count, dollars

    if lever.tokens and lever.unknown == lever.times:
        return f"{count(lever.tokens)} tokens"
    return dollars(lever.saved, known=not lever.unknown)


def all_known(levers: Sequence[Lever]) -> bool:
    """Whether what they saved is all that was saved."""
    return not any(lever.unknown for lever in levers)


def _agents(found: Totals) -> None:
    from trunkline.cli.console import clean, out, print_table, table, text
    from trunkline.cli.figures import count, dollars

    if not found.agents:
        return
    columns = ("agent", "runs", "answered", "failed", "model calls", "tool calls", "tokens", "cost")
    shown = table(*columns, right=columns[1:])
    for each in found.agents:
        amounts = each.amounts
        shown.add_row(
            text((clean(each.agent) or "–", "name")),
            count(each.runs),
            count(each.answered),
            text((count(each.failed), "bad" if each.failed else "")),
            count(amounts.model_calls),
            count(amounts.tool_calls),
            count(amounts.input_tokens + amounts.output_tokens),
            dollars(amounts.cost, known=amounts.cost_known),
        )
    out().print()
    print_table(shown)


def _models(found: Totals) -> None:
    from trunkline.cli.console import clean, out, print_table, table, text
    from trunkline.cli.figures import count, dollars

    if not found.models:
        return
    columns = ("model", "calls", "failed", "lost", "tokens in", "tokens out", "cost")
    shown = table(*columns, right=columns[1:])
    for each in found.models:
        shown.add_row(
            text((clean(each.model) or "–", "name")),
            count(each.calls),
            text((count(each.failed), "bad" if each.failed else "")),
            text((count(each.lost), "bad" if each.lost else "")),
            count(each.input_tokens),
            count(each.output_tokens),
            dollars(each.cost, known=each.cost_known),
        )
    out().print()
    print_table(shown)


def _tools(found: Totals) -> None:
    from trunkline.cli.console import clean, out, print_table, table, text
    from trunkline.cli.figures import count, duration

    if not found.tools:
        return
    shown = table("tool", "calls", "failed", "lost", "mean", right=("calls", "failed", "lost", "mean"))
    for each in found.tools:
        shown.add_row(
            text((clean(each.tool), "name")),
            count(each.calls),
            text((count(each.failed), "bad" if each.failed else "")),
            text((count(each.lost), "bad" if each.lost else "")),
            duration(each.mean_ms),
        )
    out().print()
    print_table(shown)


def _stages(found: Totals) -> None:
    from trunkline.cli.console import clean, out, print_table, table
    from trunkline.cli.figures import count, duration

    if not found.stages:
        return
    shown = table("time", "half within", "95 of 100 within", "runs", right=("half within", "95 of 100 within", "runs"))
    for name, each in found.stages.items():
        shown.add_row(STAGES.get(name, clean(name)), duration(each.p50_ms), duration(each.p95_ms), count(each.count))
    out().print()
    print_table(shown)
