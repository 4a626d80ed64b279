"""`python -m tests.simulation --seeds 20000`: simulate; `--seed 7`: one of them, with everything that happens."""

from __future__ import annotations

import argparse
import os
import sys
import time

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.simulation.campaign import Totals, campaign, command, replay
from tests.simulation.mutants import MUTANTS
from tests.simulation.simulate import Outcome

_MONEY = {
    "paid": "model calls paid",
    "refused": "model calls that a budget refused",
    "refunded": "amounts given back that somebody left",
}


def main() -> int:
    """The exit code: 1 when a law was broken."""
    options = _options()
    console = Console(soft_wrap=True, highlight=False)
    if options.seed is not None:
        return _tell(console, options.seed, options.mutant)
    began = time.perf_counter()
    totals = _simulate(console, options.start, options.seeds, options.mutant)
    console.print(_table(totals, time.perf_counter() - began))
    for outcome in totals.breaches:
        _report(console, outcome, options.mutant)
    return 1 if totals.breaches else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20_000, help="how many")
    parser.add_argument("--from", type=int, default=0, dest="start", help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one, with all that happens")
    parser.add_argument("--mutant", choices=MUTANTS, default="", help="with the product broken in this way")
    return parser.parse_args()


def _simulate(console: Console, first: int, count: int, mutant: str) -> Totals:
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("seeds"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=count)
        return campaign(
            first, count, mutant=mutant, progress=lambda totals: progress.update(task, completed=totals.seeds)
        )


def _tell(console: Console, seed: int, mutant: str) -> int:
    def log(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
        told = " ".join(f"{name}={value}" for name, value in event.items() if name not in ("event", "exc_info"))
        console.print(f"             ({event['event']}: {told[:300]})", markup=False)
        raise structlog.DropEvent

    structlog.configure(processors=[log], wrapper_class=structlog.make_filtering_bound_logger(20))
    outcome = replay(seed, mutant, lambda line: console.print(line, markup=False))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    if outcome.breach:
        _report(console, outcome, mutant)
    sys.stdout.flush()
    os._exit(1 if outcome.breach else 0)  # what crashed processes left behind is not to run while it is swept up


def _table(totals: Totals, seconds: float) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    for name in ("seeds", "events", "messages", "takeovers", "crashes", *_MONEY):
        table.add_row(f"{getattr(totals, name):,}", _MONEY.get(name, name))
    table.add_row(f"{totals.virtual_seconds / 3600:,.0f}", "hours of virtual time")
    table.add_row(f"{seconds:.1f}", "seconds")
    table.add_row(f"{len(totals.breaches):,}", "seeds that break a law")
    return table


def _report(console: Console, outcome: Outcome, mutant: str) -> None:
    law, how = outcome.breach or ("", "")
    console.print(f"seed {outcome.seed} breaks {law}\n  {how}", markup=False)
    console.print(f"  {command(outcome.seed, mutant)}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
