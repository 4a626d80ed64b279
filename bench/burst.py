"""Many requests at once: `python -m bench.burst [--requests 10000]`.

A platform of one process a service gets them as fast as one client can put them onto the bus. Each must be answered, or
refused in so many words; no process may grow without bound, and afterwards nothing may be left over.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson
import structlog
from nats.aio.msg import Msg
from rich.console import Console
from rich.table import Table

from bench.measure import percentile, rss_mib
from tests.chaos.asking import ANSWERS, question
from tests.conftest import wait_until
from tests.platform import Platform
from trunkline import Client
from trunkline.bus import Bus, append
from trunkline.contracts.codec import decode_fact
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer
from trunkline.contracts.subjects import ROUTER, TRUNK, RunKey, Subject

SUMS = Path(__file__).parents[1] / "tests" / "chaos" / "sums.py"
WITHOUT_LIMITS = {
    "TRUNKLINE_ROUTER_LIMIT": "1000000",
    "TRUNKLINE_ROUTER_AGENT_LIMIT": "1000000",
    "TRUNKLINE_ROUTER_QUEUE_SECONDS": "3600",
}
AT_ONCE = 256
"""Requests whose acknowledgement is awaited."""
SAMPLE_SECONDS = 0.2
REST_SECONDS = 60.0
PROMPT_SECONDS = 30.0


@dataclass
class Burst:
    """Seconds and MiB. `codes` are those of the answers that are refusals or failures; `latencies` from the
    acknowledgement of a request to its answer; `peak` of each process with its children; `left` what consumers still
    had to deliver or to hear of at the end; `after` how long a question took that was asked then.
    """

    requests: int
    published: float = 0.0
    answered: float = 0.0
    answers: int = 0
    codes: Mapping[str, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    peak: dict[str, float] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    after: float = 0.0


class _Answers:
    """Which runs were answered, when, and with which failure."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self.codes: Counter[str] = Counter()

    async def hear(self, message: Msg) -> None:
        subject = Subject.parse(message.subject)
        fact = decode_fact(subject.kind, message.data)
        if subject.run not in self.at and isinstance(fact, Answer):
            self.at[subject.run] = time.perf_counter()
            if fact.error:
                self.codes[fact.error.code] += 1


async def burst(platform: Platform, requests: int, *, seconds: float) -> Burst:
    """All of them are answered within `seconds`, or this fails."""
    found, answers = Burst(requests), _Answers()
    async with Client.connect(platform.url) as client, _sampling(platform, found.peak):
        await client.bus.client.subscribe(ANSWERS, cb=answers.hear)
        began = time.perf_counter()
        acked = await _publish(client.bus, requests)
        found.published = time.perf_counter() - began
        _say(f"{requests} requests are on the bus after {found.published:.1f} s")
        await _until_answered(answers, acked, seconds)
        found.answered = time.perf_counter() - began
        found.answers, found.codes = len(answers.at.keys() & acked.keys()), dict(answers.codes)
        found.latencies = sorted(answers.at[run] - at for run, at in acked.items())
        found.left = await _left_over(client.bus)
        asked = time.perf_counter()
        await client.ask("Add 1 and 2", agent="adder", timeout=PROMPT_SECONDS)
        found.after = time.perf_counter() - asked
    return found


async def _publish(bus: Bus, requests: int) -> dict[str, float]:
    """When each run's request was acknowledged."""
    acked: dict[str, float] = {}
    numbers = iter(range(requests))

    async def publisher() -> None:
        for number in numbers:
            key = RunKey.checked(new_run_id(), new_conversation_id())
            await append(bus, key.step("request", ROUTER), question(number))
            acked[key.run] = time.perf_counter()

    await asyncio.gather(*(publisher() for _ in range(AT_ONCE)))
    return acked


async def _until_answered(answers: _Answers, acked: Mapping[str, float], seconds: float) -> None:
    said = time.perf_counter()

    def all_answered() -> bool:
        nonlocal said
        if time.perf_counter() - said > 5:
            said = time.perf_counter()
            _say(f"{len(answers.at)} answers")
        return len(answers.at) >= len(acked) and acked.keys() <= answers.at.keys()

    await wait_until(all_answered, f"the answers to {len(acked)} requests", seconds=seconds)


async def _left_over(bus: Bus) -> dict[str, int]:
    """What every durable consumer of the log still has to deliver or to hear of, once that is nothing or time is up."""
    deadline = time.perf_counter() + REST_SECONDS
    while True:
        names = (await bus.api(f"CONSUMER.NAMES.{TRUNK}"))["consumers"] or []
        infos = [await bus.api(f"CONSUMER.INFO.{TRUNK}.{name}") for name in names if not name.startswith("follow-")]
        left = {info["name"]: info["num_pending"] + info["num_ack_pending"] for info in infos if "error" not in info}
        if not any(left.values()) or time.perf_counter() > deadline:
            return left
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def _sampling(platform: Platform, peak: dict[str, float]) -> AsyncIterator[None]:
    """Keeps the most memory that each process was seen with."""

    async def sample() -> None:
        while True:
            pids = {service: platform.pid(service) for service in platform.services} | {"bus": platform.server.pid}
            for name, pid in pids.items():
                peak[name] = max(peak.get(name, 0.0), sum(rss_mib(pid)))
            await asyncio.sleep(SAMPLE_SECONDS)

    sampling = asyncio.create_task(sample(), name="memory")
    try:
        yield
    finally:
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)


def _show(found: Burst) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table(title="Most memory", title_justify="left")
    for heading in ("process and its children", "MiB"):
        table.add_column(heading, justify="right" if heading == "MiB" else "left")
    for name, mib in found.peak.items():
        table.add_row(name, f"{mib:.0f}")
    console.print(table)
    p50, p99 = (percentile(found.latencies, share) for share in (0.50, 0.99))
    refused = ", ".join(f"{count} {code}" for code, count in found.codes.items()) or "none"
    console.print(
        f"[bold]{found.requests} requests on the bus in {found.published:.1f} s "
        f"({found.requests / found.published:,.0f}/s), {found.answers} answers in {found.answered:.1f} s "
        f"({found.answers / found.answered:,.0f}/s)[/]\n"
        f"refused or failed: {refused}\n"
        f"from acknowledgement to answer: p50 {p50:.1f} s, p99 {p99:.1f} s; a question then: {found.after:.2f} s\n"
        f"left with consumers: {sum(found.left.values())} ({len(found.left)} consumers)"
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


async def _run(requests: int, folder: Path, env: Mapping[str, str]) -> Burst:
    platform = Platform(folder, SUMS, env=env)
    try:
        await platform.start()
        return await burst(platform, requests, seconds=max(60.0, requests / 10))
    finally:
        await platform.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.burst", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--all", action="store_true", help="let the router refuse none for being too many")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON document")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(_run(options.requests, Path(folder), WITHOUT_LIMITS if options.all else {}))
    if options.json:
        print(orjson.dumps(asdict(found)).decode())
    else:
        _show(found)
    sys.exit(1 if found.answers < found.requests or any(found.left.values()) else 0)


if __name__ == "__main__":
    main()
