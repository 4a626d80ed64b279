"""`python -m tests.chaos --minutes 10 [--seed N] [--report FILE]`: load and faults for that long, then the verdict."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from rich.console import Console

from tests.chaos.faults import Kind
from tests.chaos.report import around, watched, write_into
from tests.chaos.storm import Weather

PER_MINUTE = {
    Kind.KILL: 4.0,
    Kind.FREEZE: 1.5,
    Kind.SERVER_KILL: 0.7,
    Kind.SERVER_FREEZE: 0.5,
    Kind.DUPLICATE: 4.0,
    Kind.POISON: 3.0,
    Kind.SLOW_READER: 1.0,
    Kind.LEDGER_LOCK: 1.0,
    Kind.LEDGER_ROLLBACK: 0.7,
    Kind.CLOCK_SKEW: 1.0,
    Kind.ROLLING: 1.5,
}


def weather(minutes: float, seed: int) -> Weather:
    """Every kind of fault, at least once."""
    counts = {kind: max(1, round(rate * minutes)) for kind, rate in PER_MINUTE.items()}
    return Weather(seed=seed, counts=counts, seconds=minutes * 60)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long faults come")
    parser.add_argument("--seed", type=int, default=None, help="of the faults; another one each time when not given")
    parser.add_argument("--report", type=Path, help="the document that gets the table")
    parser.add_argument("--keep", type=Path, help="an empty folder in which the log is left")
    options = parser.parse_args()
    if options.report:
        try:
            around(options.report, "chaos")
        except ValueError as error:
            parser.error(str(error))
    if options.minutes <= 0:
        parser.error(f"--minutes is {options.minutes:g}: give a number above 0")
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    if options.keep and options.keep.exists() and any(options.keep.iterdir()):
        parser.error(f"--keep {options.keep} is not empty: give a new folder")
    console = Console(width=None if sys.stdout.isatty() else 150)
    outcome = watched(weather(options.minutes, seed), f"Chaos, {options.minutes:g} minutes", console, options.keep)
    if options.report:
        write_into(options.report, "chaos", outcome)
    sys.exit(1 if outcome.problems else 0)


if __name__ == "__main__":
    main()
