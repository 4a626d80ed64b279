"""One question, one tool call, one answer: the platform beside the same turn by hand, in the same run.

`python -m bench.one_tool_turn`; absolute figures are this machine's, the ratios are what counts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from bench import report
from bench.measure import Level, level, median
from bench.processes import INLINE, LEDGER, PLATFORM, RAW, Launching, Side, started
from bench.raw import STREAM
from bench.wiretap import overheard
from trunkline.bus import Bus, provision
from trunkline.bus.provision import streams
from trunkline.contracts.subjects import TRUNK
from trunkline.host.server import EmbeddedServer, free_port

FACTS = 9
STREAMS = {"platform": TRUNK, "raw": STREAM}
WARM_UP = 0.25
LISTENED = 50


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.one_tool_turn", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON document")
    parser.add_argument("--runs", type=int, default=400, help="runs a level, side and repetition; at least 4 an asker")
    parser.add_argument("--concurrency", default="1,10,50,200", help="askers at a time, one level each")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions of each level; the median counts")
    parser.add_argument("--only", choices=list(STREAMS))
    parser.add_argument("--ledger", action="store_true", help="let the ledger read along (the platform has one more)")
    parser.add_argument("--inline-tool", action="store_true", help="call the tool without a process of its own")
    parser.add_argument("--uvloop", action="store_true", help="all Python processes on uvloop, which must be installed")
    parser.add_argument("--profile", action="store_true", help="where each process's CPU time goes; slows it a little")
    return parser.parse_args()


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All figures of this run."""
    async with (
        EmbeddedServer(folder / "bus", free_port()).running() as server,
        Bus.open(server.url) as bus,
        _sides(options, folder, server, bus) as sides,
    ):
        found = await _levels(options, bus, sides)
        rss = {side.name: side.rss() for side in sides}
        counts = {} if options.profile else {side.name: await _messages(server.url, side) for side in sides}
    return {
        "ledger": options.ledger,
        "uvloop": options.uvloop,
        "inline_tool": options.inline_tool,
        "levels": found,
        "rss_mib": rss,
        "messages": counts,
    }


@contextlib.asynccontextmanager
async def _sides(
    options: argparse.Namespace, folder: Path, server: EmbeddedServer, bus: Bus
) -> AsyncIterator[list[Side]]:
    await provision(bus)
    trunk = next(config for config in streams() if config["name"] == TRUNK)
    await bus.api(f"STREAM.CREATE.{STREAM}", trunk | {"name": STREAM, "subjects": ["raw.>"]})
    environment = os.environ | {"NATS_URL": server.url, "TRUNKLINE_DATA": str(folder), "TRUNKLINE_LOG_FORMAT": "json"}
    launching = Launching(environment, folder, options.uvloop, folder if options.profile else None)
    platform = PLATFORM | (LEDGER if options.ledger else {}) | (INLINE if options.inline_tool else {})
    modules = {"platform": platform, "raw": RAW}
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(started(name, modules[name], server.url, server.pid, launching))
            for name in ([options.only] if options.only else STREAMS)
        ]


async def _levels(options: argparse.Namespace, bus: Bus, sides: Sequence[Side]) -> dict[str, list[Level]]:
    """Level by level, the sides in turn, so that what else happens on the machine hits both."""
    found: dict[str, list[Level]] = defaultdict(list)
    for concurrency in map(int, options.concurrency.split(",")):
        repetitions: dict[str, list[Level]] = defaultdict(list)
        runs = max(options.runs, 4 * concurrency)
        for repetition in range(options.repeat):
            for side in sides if repetition % 2 == 0 else reversed(sides):
                one = await _one_level(bus, side, concurrency, runs)
                repetitions[side.name].append(one)
                _say(f"{concurrency:4} at a time, {side.name:8} {one.rate:7.0f} runs/s, p50 {one.p50:.2f} ms")
        for name, each in repetitions.items():
            found[name].append(median(each))
    return found


async def _one_level(bus: Bus, side: Side, concurrency: int, runs: int) -> Level:
    await side.load(concurrency, max(concurrency, int(runs * WARM_UP)))
    await asyncio.sleep(0.1)
    before, began = await _stored(bus, side), side.cpu()
    loaded = await side.load(concurrency, runs)
    spent = {name: seconds - began[name] for name, seconds in side.cpu().items()}
    after = await _stored(bus, side)
    measured = level(side.name, concurrency, loaded, spent, {key: after[key] - before[key] for key in after})
    assert measured.messages == FACTS, f"{side.name} stored {measured.messages} facts a run instead of {FACTS}"
    return measured


async def _stored(bus: Bus, side: Side) -> dict[str, int]:
    state = (await bus.api(f"STREAM.INFO.{STREAMS[side.name]}"))["state"]
    return {"messages": state["messages"], "bytes": state["bytes"]}


async def _messages(url: str, side: Side) -> dict[str, float]:
    heard = await overheard(url, lambda: side.load(1, LISTENED))
    return {kind: count / LISTENED for kind, count in sorted(heard.items())}


def _show(found: Mapping[str, Any], folder: Path, options: argparse.Namespace) -> None:
    levels = found["levels"]
    report.console.print(f"ledger: {'reads along' if options.ledger else 'off'}; uvloop: {options.uvloop}")
    for sides in zip(*levels.values(), strict=True):
        report.show_level(sides)
    if options.profile:
        report.show_profiles(folder)
    else:
        report.show_messages(found["messages"])
    report.show_memory(found["rss_mib"])
    report.show_summary(levels, found["rss_mib"])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _last_words(folder: Path) -> None:
    """What the processes wrote, when something went wrong."""
    for log in sorted(folder.glob("*.log")):
        if text := log.read_text(errors="replace")[-2000:]:
            _say(f"--- {log.stem}\n{text}")


def main() -> None:
    options = arguments()
    if options.ledger and importlib.util.find_spec("trunkline_ledger.__main__") is None:
        sys.exit("There is no ledger service to start yet: leave out --ledger.")
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as name:
        folder = Path(name)
        try:
            found = asyncio.run(measure(options, folder))
        except BaseException:
            _last_words(folder)
            raise
        if options.json:
            plain = found | {"levels": {side: [asdict(one) for one in each] for side, each in found["levels"].items()}}
            print(orjson.dumps(plain, option=orjson.OPT_INDENT_2).decode())
        else:
            _show(found, folder, options)


if __name__ == "__main__":
    main()
