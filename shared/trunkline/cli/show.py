"""`trunkline show`: one run, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from rich.text import Text

    from trunkline.cli.ledger_json import RunDetail, RunSummary
    from trunkline.contracts.messages import Answer, Feedback

STYLES = {"answered": "good", "failed": "bad", "cancelled": "warn", "running": "name"}
WIDEST = 140
PIPED = 120


def show(
    run: Annotated[str, typer.Argument(help="The run's id, or its beginning.", show_default=False)],
    url: Url = "",
    as_json: Json = False,
) -> None:
    """One run as a waterfall: what, when, how long, for how much.

    Read from the ledger; `trunkline runs` lists the runs, the beginning of an id will do.
    """
    from trunkline.cli.console import print_json
    from trunkline.cli.ledger_json import RunDetail, read
    from trunkline.cli.runs import asked_of_ledger
    from trunkline.cli.session import run as settled
    from trunkline.contracts.ids import checked_token

    found = settled(asked_of_ledger(url, "run", run=checked_token(run, "run")))
    if as_json:
        print_json(found)
    else:
        answer, verdicts = settled(_said_at_last(url, found["summary"]["run"]))
        _show(read(found, RunDetail), answer)
        for verdict in verdicts:
            _say(*_verdict(verdict))


async def _said_at_last(url: str, run: str) -> tuple[Answer | None, list[Feedback]]:
    """The ledger knows that the run was answered, or the failure's code; what was said stands on the log. And each
    user's last word on it.
    """
    from trunkline.bus import fold
    from trunkline.cli.session import on_trunkline
    from trunkline.contracts.messages import Answer, Feedback
    from trunkline.contracts.subjects import CLIENT, filter_of

    async with on_trunkline(url) as bus:
        events = await fold(bus, filter_of(run=run, kind="answer", name=CLIENT), filter_of(run=run, kind="feedback"))
    answer = next((event.fact for event in events if isinstance(event.fact, Answer)), None)
    verdicts = {event.fact.by: event.fact for event in events if isinstance(event.fact, Feedback)}
    return answer, list(verdicts.values())


def _verdict(said: Feedback) -> tuple[str, str, str]:
    """Its mark, that one's style, and the words."""
    mark, style, word = {1: ("+", "good", "good"), -1: ("-", "bad", "bad")}.get(said.verdict, ("±", "faint", "neutral"))
    better = f"{said.agent} should have answered" if said.agent else ""
    whose = f"{word}, says {said.by or 'whoever asked'}"
    return mark, style, ": ".join(filter(None, [whose, better, said.comment]))


def _show(detail: RunDetail, answer: Answer | None) -> None:
    from trunkline.cli.console import out, print_lines
    from trunkline.cli.waterfall import rows_of
    from trunkline.cli.waterfall_lines import lines_of

    summary = detail.summary
    width = min(out().width, WIDEST) if out().is_terminal else PIPED
    out().print(_headline(summary))
    out().print(_origin(summary))
    out().print()
    _say("Q", "head", summary.question or "–")
    out().print()
    print_lines(lines_of(rows_of(detail), width))
    out().print()
    if answer is None:
        _say("…", "name", "No answer yet.")
    elif answer.error:
        _say("✗", "bad", f"{answer.error.message}\n{answer.error.hint}".strip())
    else:
        _say("A", "good", answer.text)


def _say(mark: str, style: str, said: str) -> None:
    """What was said, indented behind its mark."""
    from rich.table import Table

    from trunkline.cli.console import clean, print_table, text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_row(text((mark, style)), text(clean(said, lines=True)))
    print_table(grid)


def _headline(summary: RunSummary) -> Text:
    from trunkline.cli.console import clean, text
    from trunkline.cli.figures import count, counted, dollars, duration
    from trunkline.cli.runs import remark

    total = summary.total
    facts = [
        duration(summary.stages.total_ms),
        counted(total.model_calls, "model call"),
        counted(total.tool_calls, "tool call"),
        f"{count(total.input_tokens)} + {count(total.output_tokens)} tokens",
        dollars(total.cost, known=total.cost_known),
    ]
    facts += [f"{dollars(total.saved)} saved"] if total.saved != "0" else []
    facts += [counted(total.takeovers, "takeover")] if total.takeovers else []
    status = (clean(summary.status), STYLES.get(summary.status, ""))
    return text(
        status,
        _whose(summary),
        (f", {said}" if (said := remark(summary)) else "", "warn"),
        ("  " + " · ".join(facts), "faint"),
    )


def _whose(summary: RunSummary) -> Text:
    """An agent answers; that a run failed or was cancelled is not its agent's doing."""
    from trunkline.cli.console import clean, text

    if not summary.agent:
        return text()
    return text(" by " if summary.status == "answered" else ", agent ", (clean(summary.agent), "name"))


def _origin(summary: RunSummary) -> Text:
    from trunkline.cli.console import clean, text
    from trunkline.cli.figures import clock, short

    parts = [f"run {summary.run}", clock(summary.started_at), f"conversation {clean(summary.conversation)}"]
    parts += [f"user {clean(summary.user)}"] if summary.user else []
    parts += [f"asked for by {short(summary.parent)}"] if summary.parent else []
    return text((" · ".join(parts), "faint"))
