"""Many seeds, on every core: what they came to together, and which of them broke a law."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import structlog

from tests.simulation.mutants import MUTANTS
from tests.simulation.simulate import Outcome, simulate

CHUNK = 50


@dataclass
class Totals:
    """Sums over `seeds`, and the outcomes in which a law was broken, by seed."""

    seeds: int = 0
    events: int = 0
    messages: int = 0
    takeovers: int = 0
    crashes: int = 0
    paid: int = 0
    refused: int = 0
    refunded: int = 0
    virtual_seconds: float = 0.0
    breaches: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.events += outcome.events
        self.messages += outcome.messages
        self.takeovers += outcome.takeovers
        self.crashes += outcome.crashes
        self.paid += outcome.paid
        self.refused += outcome.refused
        self.refunded += outcome.refunded
        self.virtual_seconds += outcome.seconds
        if outcome.breach:
            self.breaches.append(outcome)

    def merge(self, other: Totals) -> None:
        for each in dataclasses.fields(Totals):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        self.breaches.sort(key=lambda outcome: outcome.seed)


def campaign(
    first: int, count: int, *, mutant: str = "", processes: int = 0, progress: Callable[[Totals], None] | None = None
) -> Totals:
    """Simulate `count` seeds, on as many `processes` as there are cores; ends early when a law was broken."""
    totals = Totals()
    chunks = iter([(start, min(CHUNK, first + count - start)) for start in range(first, first + count, CHUNK)])
    processes = processes or os.cpu_count() or 1
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=be_quiet) as pool:
        waiting: set[Future[Totals]] = set()
        while True:
            while not totals.breaches and len(waiting) < 2 * processes and (chunk := next(chunks, None)):
                waiting.add(pool.submit(simulate_chunk, *chunk, mutant))
            if not waiting:
                return totals
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for each in done:
                totals.merge(each.result())
            if progress:
                progress(totals)


def simulate_chunk(first: int, count: int, mutant: str) -> Totals:
    """In this process; it ends with the first seed that breaks a law."""
    totals = Totals()
    with _mutated(mutant) as emphasis:
        for seed in range(first, first + count):
            totals.add(simulate(seed, emphasis=emphasis))
            if totals.breaches:
                break
    return totals


def replay(seed: int, mutant: str, told: Callable[[str], None]) -> Outcome:
    """One seed, in this process, told line by line."""
    with _mutated(mutant) as emphasis:
        return simulate(seed, told, emphasis=emphasis)


def command(seed: int, mutant: str = "") -> str:
    """What shows a seed to a person."""
    return f"python -m tests.simulation --seed {seed}" + (f" --mutant '{mutant}'" if mutant else "")


def be_quiet() -> None:
    """What the product logs is of no interest, nor are the last words of what crashed processes left behind."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=True)
    sys.unraisablehook = lambda _: None
    gc.freeze()  # what is imported is no garbage of a history
    gc.freeze()


@contextlib.contextmanager
def _mutated(name: str) -> Iterator[Mapping[str, Any]]:
    if not name:
        yield {}
        return
    with MUTANTS[name].at_work():
        yield MUTANTS[name].emphasis
