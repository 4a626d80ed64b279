"""The reliability table: `python -m bench.reliability [--runs 600] [--seed N] [--report docs/reliability.md]`.

Runs of five model and five tool steps, two of which have effects, while processes are killed and stopped under them and
nats-server is killed; AckWait at its default. What must not happen is counted by a checker that reads the whole log,
and by marks that the model and the tools leave outside of it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from tests.chaos.faults import AT_WORK, Kind
from tests.chaos.report import around, watched, write_into
from tests.chaos.storm import Weather

SEED = 20
RUNS = 600
SECONDS = 300.0
"""Over which the faults are spread."""
COUNTS = {Kind.KILL: 26, Kind.FREEZE: 9, Kind.SERVER_KILL: 5}


def weather(runs: int, seed: int, seconds: float) -> Weather:
    """Only processes at work are killed, so that each kill interrupts something."""
    return Weather(seed=seed, counts=COUNTS, seconds=seconds, at_once=16, runs=runs, model_seconds=0.5, killed=AT_WORK)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.reliability", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="asked at least; more while faults come")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="over which the faults are spread")
    parser.add_argument("--report", type=Path, help="the document that gets the table")
    parser.add_argument("--keep", type=Path, help="an empty folder in which the log is left")
    options = parser.parse_args()
    if options.report:
        try:
            around(options.report, "table")
        except ValueError as error:
            parser.error(str(error))
    if options.keep and options.keep.exists() and any(options.keep.iterdir()):
        parser.error(f"--keep {options.keep} is not empty: give a new folder")
    console = Console(width=None if sys.stdout.isatty() else 150)
    outcome = watched(weather(options.runs, options.seed, options.seconds), "Reliability", console, options.keep)
    if options.report:
        write_into(options.report, "table", outcome)
    sys.exit(1 if outcome.problems else 0)


if __name__ == "__main__":
    main()
