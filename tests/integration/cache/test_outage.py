"""A store that goes away: misses within bounded time, one line in the log, and it comes back by itself."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs

from tests.conftest import wait_until
from tests.redis_server import RedisServer
from trunkline.bus.bucket import Bucket
from trunkline.bus.claims import Claims
from trunkline.cache import BusStore, Cache, Entry, RedisStore, SingleFlight, cache_key
from trunkline.host.server import EmbeddedServer

KEY = cache_key(["question"], tenant="main", user=None)
OTHER = cache_key(["another"], tenant="main", user=None)
ENTRY = Entry(b"answer")
AMPLE = 30.0
"""Seconds; far beyond the patience, far below what a hanging connection takes."""


@pytest.fixture
def lines() -> Iterator[list[structlog.typing.EventDict]]:
    with capture_logs() as captured:
        yield captured


def actions(lines: list[structlog.typing.EventDict]) -> list[str]:
    return [line["action"] for line in lines if line["action"].startswith("cache_")]


async def until_back(cache: Cache) -> None:
    async def back() -> bool:
        await cache.put(KEY, ENTRY, 60)
        return await cache.get(KEY) == ENTRY

    await wait_until(back, "the cache is back")


async def until_away(cache: Cache) -> None:
    """A frozen process may answer for another moment."""

    async def away() -> bool:
        return await cache.get(KEY) is None

    await wait_until(away, "the cache is away")


async def use(cache: Cache, times: int) -> None:
    """Every operation, many at once: misses, none of them an error."""
    async with asyncio.timeout(AMPLE):
        for _ in range(times):
            found = await asyncio.gather(*(cache.get(KEY) for _ in range(20)))
            assert not any(found)
            await cache.put(OTHER, ENTRY, 60)
            await cache.delete(OTHER)


async def test_redis_that_is_stopped(redis: RedisServer, lines: list[structlog.typing.EventDict]) -> None:
    cache = Cache(RedisStore(redis.url))
    await until_back(cache)
    await redis.stop()
    await use(cache, 20)
    assert actions(lines) == ["cache_away"]
    await redis.start()
    await until_back(cache)
    assert actions(lines) == ["cache_away", "cache_back"]
    await cache.close()


async def test_redis_that_stands_still(redis: RedisServer, lines: list[structlog.typing.EventDict]) -> None:
    cache = Cache(RedisStore(redis.url))
    await until_back(cache)
    redis.freeze()
    await until_away(cache)
    await use(cache, 20)
    redis.thaw()
    await until_back(cache)
    assert actions(lines)[0] == "cache_away"
    assert actions(lines)[-1] == "cache_back"
    await cache.close()


async def test_who_gave_up_on_a_reply_does_not_get_it_for_another_question(redis: RedisServer) -> None:
    cache = Cache(RedisStore(redis.url), patience=0.1)
    entries = {cache_key([str(number)], tenant="main", user=None): Entry(str(number).encode()) for number in range(40)}
    for key, entry in entries.items():
        await cache.put(key, entry, 60)
    for _ in range(3):
        redis.freeze()
        await asyncio.gather(*(cache.get(key) for key in entries))
        redis.thaw()
        await until_back(cache)
        for key, entry in entries.items():
            assert await cache.get(key) in (entry, None)
    await cache.close()


async def test_redis_that_never_was(lines: list[structlog.typing.EventDict]) -> None:
    pytest.importorskip("redis")
    cache = Cache(RedisStore("redis://127.0.0.1:1/0"))
    await use(cache, 20)
    assert actions(lines) == ["cache_away"]
    await cache.close()


async def test_a_bus_that_stands_still(
    server: EmbeddedServer, bucket: Bucket, lines: list[structlog.typing.EventDict]
) -> None:
    cache = Cache(BusStore(bucket))
    await until_back(cache)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        await until_away(cache)
        await use(cache, 20)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    await until_back(cache)
    assert actions(lines)[0] == "cache_away"
    assert actions(lines)[-1] == "cache_back"


async def test_without_the_bus_the_call_is_simply_made_once(server: EmbeddedServer, bucket: Bucket) -> None:
    calls = 0

    async def make() -> Entry:
        nonlocal calls
        calls += 1
        return ENTRY

    flight = SingleFlight(Cache(BusStore(bucket)), Claims(bucket))
    await server.stop(kill=True)
    async with asyncio.timeout(AMPLE):
        served = await asyncio.gather(*(flight(KEY, make, 60) for _ in range(100)))
    assert calls == 1
    assert {each.entry for each in served} == {ENTRY}
