"""What the death of a server costs a cluster of three: `python -m bench.cluster [--rounds 3]`.

Under load, the server that leads the log is killed with SIGKILL, then the one that leads a consumer, then the one that
places streams; each is started again, and all copies are up to date before the next one dies. How long nothing is
acknowledged is nats-server's election: it notices a leader that is gone after 4 to 9 seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
import structlog
from rich.console import Console
from rich.table import Table

from tests.chaos.asking import Asking, answers
from tests.chaos.checker import Violation, World, check
from tests.chaos.log import read_log
from tests.cluster import SIZE, Cluster
from tests.conftest import wait_until
from tests.platform import Platform
from trunkline.bus import Bus

SUMS = Path(__file__).parents[1] / "tests" / "chaos" / "sums.py"
CONSUMER = "agent-adder"
PAUSE = 0.1
"""Seconds between the acknowledgement and the next request of an asker."""
VICTIMS = ("log", CONSUMER, "meta")


@dataclass(frozen=True)
class Kill:
    """Seconds: the longest in which no request was acknowledged; from the kill until there were as many answers as
    requests before it; until the server was started again; until all copies were up to date.
    """

    led: str
    node: str
    acked: int
    unacknowledged: float
    caught_up: float
    down: float
    whole: float


@dataclass(frozen=True)
class Verdict:
    acked: int
    refused: int
    lost: int
    answered: int
    violations: Sequence[Violation]
    kills: Sequence[Kill]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.cluster", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="kills of each of the three leaders")
    parser.add_argument("--askers", type=int, default=SIZE, help="connections that publish requests")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON document")
    return parser.parse_args()


async def measure(options: argparse.Namespace, folder: Path) -> Verdict:
    asking, kills = Asking(), []
    async with (
        Cluster(folder / "cluster").running() as cluster,
        _platform(cluster, folder),
        contextlib.AsyncExitStack() as stack,
    ):
        buses = [await stack.enter_async_context(Bus.open(cluster.url)) for _ in range(options.askers)]
        bus = await stack.enter_async_context(Bus.open(cluster.url))
        async with asking.going_on(buses, pause=PAUSE):
            await asking.some_more()
            for led in VICTIMS * options.rounds:
                await cluster.until_whole(bus)
                kills.append(await _kill(cluster, bus, asking, led))
                _say(f"{len(kills)}. {kills[-1]}")
        await asking.until_answered(bus, seconds=120)
        return await _verdict(bus, asking, kills)


@contextlib.asynccontextmanager
async def _platform(cluster: Cluster, folder: Path) -> AsyncIterator[None]:
    platform = Platform(folder, SUMS, url=cluster.url)
    try:
        await platform.start()
        yield
    finally:
        await platform.stop()


async def _kill(cluster: Cluster, bus: Bus, asking: Asking, led: str) -> Kill:
    loop = asyncio.get_running_loop()
    name = await _leader(cluster, bus, led)
    acked, began = len(asking.acked), loop.time()
    await cluster.nodes[name].kill()
    await asking.some_more()

    async def answered() -> bool:
        return await answers(bus) >= acked

    await wait_until(answered, "the answers to what was asked before the kill", seconds=60)
    caught_up = loop.time() - began
    await cluster.nodes[name].start()
    down = loop.time() - began
    await cluster.until_whole(bus)
    whole = loop.time() - began
    return Kill(
        led=led,
        node=name,
        acked=len(asking.acked) - acked,
        unacknowledged=asking.longest_gap(began, loop.time()),
        caught_up=caught_up,
        down=down,
        whole=whole,
    )


async def _leader(cluster: Cluster, bus: Bus, led: str) -> str:
    while True:
        name = await (
            cluster.meta_leader() if led == "meta" else cluster.leader(bus, consumer="" if led == "log" else led)
        )
        if name:
            return name
        await asyncio.sleep(0.1)


async def _verdict(bus: Bus, asking: Asking, kills: Sequence[Kill]) -> Verdict:
    log = await read_log(bus)
    on_log = {event.subject.run for event in log.events if event.subject.kind == "request"}
    answered = {event.subject.run for event in log.events if event.subject.kind == "answer"}
    return Verdict(
        acked=len(asking.acked),
        refused=len(asking.refused),
        lost=len(asking.acked.keys() - on_log),
        answered=len(asking.acked.keys() & answered),
        violations=check(log, World(acked=frozenset(asking.acked))),
        kills=kills,
    )


def _show(verdict: Verdict) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table(title="Killed, and what it cost; in seconds", title_justify="left")
    for heading in ("led", "node", "acked meanwhile", "no acknowledgement", "caught up", "down", "all copies again"):
        table.add_column(heading, justify="left" if heading in ("led", "node") else "right")
    for kill in verdict.kills:
        spans = (kill.unacknowledged, kill.caught_up, kill.down, kill.whole)
        table.add_row(kill.led, kill.node, str(kill.acked), *(f"{span:.1f}" for span in spans))
    console.print(table)
    longest = max(kill.unacknowledged for kill in verdict.kills)
    console.print(
        f"[bold]acked {verdict.acked} · lost {verdict.lost} · answered {verdict.answered} · "
        f"refused {verdict.refused} · broken laws {len(verdict.violations)} · "
        f"longest without an acknowledgement {longest:.1f} s[/]"
    )
    for violation in verdict.violations:
        console.print(str(violation), markup=False)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    options = arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as folder:
        verdict = asyncio.run(measure(options, Path(folder)))
    if options.json:
        print(orjson.dumps(asdict(verdict)).decode())
    else:
        _show(verdict)
    sys.exit(1 if verdict.lost or verdict.violations or verdict.answered < verdict.acked else 0)


if __name__ == "__main__":
    main()
