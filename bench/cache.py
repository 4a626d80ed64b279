"""The cache of answers beside bare aiocache: `python -m bench.cache [--seconds 1] [--rounds 3]`.

Hits, misses and puts a second of each store, and how many calls a stampede makes: many ask at once for the same thing,
which nobody has yet. Each of our stores and its counterpart take turns, so that both see the same machine. The bus is
compared with aiocache on Redis, which is what one would use without it. Redis is left out where there is none.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import structlog
from aiocache import SimpleMemoryCache, cached
from aiocache.serializers import NullSerializer
from rich.console import Console
from rich.table import Table

from tests.redis_server import RedisServer, find_redis
from trunkline.bus import Bus
from trunkline.bus.bucket import Bucket
from trunkline.bus.claims import Claims
from trunkline.cache import BusStore, Cache, CacheKey, Entry, MemoryStore, RedisStore, SingleFlight, Store, cache_key
from trunkline.host.server import EmbeddedServer, free_port

KEYS = 500
VALUE = b"A sentence or two of what a model may say. " * 25
TTL = 600.0
STAMPEDE = 100
MODEL_SECONDS = 0.1
REPLICAS = 3
FIGURES = ("hits", "misses", "puts", "cpu")

Operation = Callable[[CacheKey], Awaitable[Any]]


@dataclass(frozen=True)
class Side:
    """One cache to measure: `stampede` returns how many calls were made."""

    name: str
    at_once: int
    get: Operation
    put: Operation
    stampede: Callable[[CacheKey], Awaitable[int]]
    close: Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Figures:
    """Operations a second, and `cpu` microseconds of this process for a hit: the median of the rounds. `calls` of a
    stampede: the most of any round.
    """

    side: str
    hits: float
    misses: float
    puts: float
    cpu: float
    calls: int


class Model:
    """Answers after a while, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    async def entry(self) -> Entry:
        self.calls += 1
        await asyncio.sleep(MODEL_SECONDS)
        return Entry(VALUE)

    async def value(self) -> bytes:
        return (await self.entry()).value


def ours(name: str, store: Store, at_once: int, flights: Callable[[Cache], Sequence[SingleFlight]]) -> Side:
    cache = Cache(store, patience=5)
    asked = flights(cache)

    async def put(key: CacheKey) -> None:
        await cache.put(key, Entry(VALUE), TTL)

    async def stampede(key: CacheKey) -> int:
        model = Model()
        asking = [asked[number % len(asked)](key, model.entry, TTL) for number in range(STAMPEDE)]
        served = await asyncio.gather(*asking)
        assert all(each.entry.value == VALUE for each in served)
        return model.calls

    return Side(name, at_once, cache.get, put, stampede, cache.close)


def bare(name: str, kind: Any, at_once: int, **options: Any) -> Side:
    """aiocache as it is, with its decorator for the stampede."""
    cache = kind(serializer=NullSerializer(encoding=None), namespace="bare", **options)

    async def put(key: CacheKey) -> None:
        await cache.set(key, VALUE, ttl=TTL)

    async def stampede(key: CacheKey) -> int:
        model = Model()
        decorated = cached(ttl=TTL, key=key)
        decorated.cache = cache
        await asyncio.gather(*(decorated.decorator(model.value) for _ in range(STAMPEDE)))
        return model.calls

    async def close() -> None:
        if kind is not SimpleMemoryCache:
            await cache.client.aclose()
            await cache.client.connection_pool.disconnect()

    return Side(name, at_once, cache.get, put, stampede, close)


@contextlib.asynccontextmanager
async def sides(folder: Path) -> AsyncIterator[list[tuple[Side, Side]]]:
    """Ours and what it is compared with, on servers of their own."""
    async with contextlib.AsyncExitStack() as stack:
        nats = await stack.enter_async_context(EmbeddedServer(folder / "bus", free_port()).running())
        buckets = []
        for _ in range(REPLICAS):
            bus = await stack.enter_async_context(Bus.open(nats.url, name="bench"))
            buckets.append(Bucket(bus, "cache", max_bytes=2**26, wait=5))

        def across(_cache: Cache) -> list[SingleFlight]:
            return [SingleFlight(Cache(BusStore(bucket), patience=5), Claims(bucket)) for bucket in buckets]

        def alone(cache: Cache) -> list[SingleFlight]:
            return [SingleFlight(cache)]

        memory = bare("aiocache, memory", SimpleMemoryCache, 1)
        pairs = [(ours("memory", MemoryStore(), 1, alone), memory)]
        on_bus = ours(f"bus, {REPLICAS} replicas", BusStore(buckets[0]), 32, across)
        if find_redis() and importlib.util.find_spec("redis"):
            server, redis = await _redis(stack, folder)
            pairs += [(ours("Redis", RedisStore(server.url), 32, alone), redis), (on_bus, redis)]
        else:
            print("no Redis here: it is left out", file=sys.stderr)
            pairs.append((on_bus, memory))
        for side in {id(side): side for pair in pairs for side in pair}.values():
            stack.push_async_callback(side.close)
        yield pairs


async def _redis(stack: contextlib.AsyncExitStack, folder: Path) -> tuple[RedisServer, Side]:
    from aiocache import RedisCache

    server = RedisServer(folder)
    await server.start()
    stack.push_async_callback(server.stop)
    return server, bare("aiocache, Redis", RedisCache, 32, port=server.port)


async def rate(side: Side, operation: Operation, keys: Sequence[CacheKey], seconds: float) -> tuple[float, float]:
    """Operations a second, `at_once` under way at any time, and microseconds of CPU for each."""
    done, before = 0, time.process_time()
    began = time.perf_counter()
    until = began + seconds

    async def work(number: int) -> None:
        nonlocal done
        while time.perf_counter() < until:
            for key in keys[number :: side.at_once]:
                await operation(key)
                done += 1

    await asyncio.gather(*(work(number) for number in range(side.at_once)))
    return done / (time.perf_counter() - began), (time.process_time() - before) / done * 1e6


async def one_round(side: Side, number: int, seconds: float) -> dict[str, float]:
    def keys(what: str) -> list[CacheKey]:
        return [cache_key([what, str(each)], tenant="main", user=None) for each in range(KEYS)]

    puts, _ = await rate(side, side.put, keys("known"), seconds)
    hits, cpu = await rate(side, side.get, keys("known"), seconds)
    misses, _ = await rate(side, side.get, keys("unknown"), seconds)
    calls = await side.stampede(cache_key(["stampede", str(number)], tenant="main", user=None))
    return {"hits": hits, "misses": misses, "puts": puts, "cpu": cpu, "calls": calls}


async def measured(rounds: int, seconds: float, folder: Path) -> list[tuple[Figures, Figures]]:
    found = []
    async with sides(folder) as pairs:
        for number, pair in enumerate(pairs):
            print(f"{pair[0].name} and {pair[1].name}", file=sys.stderr)
            turns: Mapping[str, list[dict[str, float]]] = {side.name: [] for side in pair}
            for each in range(rounds):
                for side in pair:
                    turns[side.name].append(await one_round(side, number * rounds + each, seconds))
            found.append((_median(pair[0].name, turns), _median(pair[1].name, turns)))
    return found


def _median(name: str, turns: Mapping[str, Sequence[Mapping[str, float]]]) -> Figures:
    rates = {figure: statistics.median(turn[figure] for turn in turns[name]) for figure in FIGURES}
    return Figures(name, **rates, calls=int(max(turn["calls"] for turn in turns[name])))


def ratios(ours: Figures, theirs: Figures) -> dict[str, float]:
    return {figure: getattr(ours, figure) / getattr(theirs, figure) for figure in FIGURES}


def show(found: Sequence[tuple[Figures, Figures]]) -> None:
    table = Table(title=f"Values of {len(VALUE):,} bytes", title_justify="left")
    for heading in ("", "hits/s", "misses/s", "puts/s", "CPU µs/hit", f"calls for {STAMPEDE} at once"):
        table.add_column(heading, justify="right" if heading else "left")
    for pair in found:
        for each in pair:
            table.add_row(each.side, *(f"{getattr(each, figure):,.0f}" for figure in FIGURES), str(each.calls))
        table.add_row("ratio", *(f"{value:.2f}" for value in ratios(*pair).values()), end_section=True)
    Console(width=None if sys.stdout.isatty() else 100).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cache", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON document")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measured(options.rounds, options.seconds, Path(folder)))
    if options.json:
        pairs = [{"ours": asdict(a), "compared": asdict(b), "ratios": ratios(a, b)} for a, b in found]
        print(orjson.dumps(pairs).decode())
    else:
        show(found)
    sys.exit(1 if any(pair[0].calls != 1 for pair in found) else 0)


if __name__ == "__main__":
    main()
