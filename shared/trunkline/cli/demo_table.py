"""What the demonstration's runs took: the ledger's rows, a delegated run below the one that asked for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from trunkline.cli.console import clean, table
from trunkline.cli.figures import count, dollars
from trunkline.cli.ledger_json import Amounts, RunSummary
from trunkline.cli.ledger_json import Stages as Total

STAGES = ("route", "queue", "model", "tool", "total")
STYLES = {"answered": "good", "failed": "warn"}


class Stages(Total, frozen=True, kw_only=True):
    """Milliseconds: to be routed, until a worker began, in model calls, in tool calls."""

    route_ms: float | None = None
    queue_ms: float | None = None
    model_ms: float = 0.0
    tool_ms: float = 0.0


class DemoRun(RunSummary, frozen=True, kw_only=True):
    """`own`: without the runs it delegated to. `sequence`: its place on the log."""

    sequence: int
    own: Amounts
    stages: Stages = Stages()


def runs_table(runs: Sequence[DemoRun], asked: Sequence[str]) -> Table:
    """`asked` are the ids of the runs in the order of the questions; the figures of a run are its own."""
    shown = table("", "agent", "status", "tokens", "cost", *STAGES, right=["tokens", "cost", *STAGES])
    for number, each in _ordered(runs, asked):
        stages = each.stages
        times = (stages.route_ms, stages.queue_ms, stages.model_ms, stages.tool_ms)
        own = each.own
        shown.add_row(
            Text(f"  {number}", style="dim"),
            Text(f"{'' if number else '└ '}{clean(each.agent) or '–'}"),
            Text(clean(each.status), style=STYLES.get(each.status, "")),
            count(own.input_tokens + own.output_tokens),
            dollars(own.cost, known=own.cost_known),
            *(Text(_milliseconds(time), style="dim") for time in times),
            _milliseconds(stages.total_ms),
        )
    return shown


def _ordered(runs: Sequence[DemoRun], asked: Sequence[str]) -> Iterator[tuple[str, DemoRun]]:
    """With the question's number, which a delegated run has not."""
    by_id = {each.run: each for each in runs}
    for number, run in enumerate(asked, start=1):
        if run in by_id:
            yield str(number), by_id[run]
        yield from (("", each) for each in sorted(runs, key=lambda each: each.sequence) if each.parent == run)


def _milliseconds(time: float | None) -> str:
    return "–" if not time else f"{time:.1f}" if time < 10 else f"{time:,.0f}"
