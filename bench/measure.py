"""What processes cost, from the outside: CPU time of a process and of its children, memory, percentiles."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil


@dataclass(frozen=True)
class Level:
    """One side at one concurrency. `cpu_ms` are per run and process group, `messages` and `bytes` per run."""

    side: str
    concurrency: int
    runs: int
    rate: float
    p50: float
    p99: float
    cpu_ms: Mapping[str, float]
    messages: float
    bytes: float


def level(side: str, concurrency: int, loaded: dict[str, Any], spent: Mapping[str, float], stored: Any) -> Level:
    latencies = sorted(loaded["latencies"])
    runs = len(latencies)
    return Level(
        side=side,
        concurrency=concurrency,
        runs=runs,
        rate=runs / loaded["seconds"],
        p50=percentile(latencies, 0.50),
        p99=percentile(latencies, 0.99),
        cpu_ms={group: seconds * 1000 / runs for group, seconds in spent.items()},
        messages=stored["messages"] / runs,
        bytes=stored["bytes"] / runs,
    )


def median(levels: Sequence[Level]) -> Level:
    """The repetitions of one level as one: each figure's own median."""
    first = levels[0]
    return Level(
        side=first.side,
        concurrency=first.concurrency,
        runs=sum(one.runs for one in levels),
        rate=statistics.median(one.rate for one in levels),
        p50=statistics.median(one.p50 for one in levels),
        p99=statistics.median(one.p99 for one in levels),
        cpu_ms={group: statistics.median(one.cpu_ms[group] for one in levels) for group in first.cpu_ms},
        messages=first.messages,
        bytes=statistics.median(one.bytes for one in levels),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def cpu_seconds(pid: int) -> tuple[float, float]:
    """User and system time of the process itself, and of its children, also of those that have ended."""
    own, *children = _tree(pid)
    times = own.cpu_times()
    below = times.children_user + times.children_system
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            below += sum(child.cpu_times()[:4])
    return times.user + times.system, below


def rss_mib(pid: int) -> list[float]:
    """Resident memory of the process, and of each child."""
    found = []
    for process in _tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(process.memory_info().rss / 2**20)
    return found


def _tree(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]
