"""A cache over each kind of store, on real servers."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.redis_server import RedisServer, find_redis
from trunkline.bus import Bus
from trunkline.bus.bucket import Bucket
from trunkline.cache import BusStore, Cache, MemoryStore, RedisStore, Store
from trunkline.host.server import EmbeddedServer

MIB = 1024 * 1024


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    if find_redis() is None or importlib.util.find_spec("redis") is None:
        pytest.skip("needs valkey-server or redis-server, and the Python package redis")
    server = RedisServer(tmp_path)
    await server.start()
    yield server
    server.thaw()
    await server.stop()


@pytest.fixture
async def connection(server: EmbeddedServer) -> AsyncIterator[Bus]:
    """Without any stream."""
    async with Bus.open(server.url) as opened:
        yield opened


@pytest.fixture
def bucket(connection: Bus) -> Bucket:
    return Bucket(connection, "cache", max_bytes=8 * MIB, wait=5)


@pytest.fixture(params=["memory", "redis", "bus"])
def store(request: pytest.FixtureRequest) -> Store:
    match request.param:
        case "redis":
            return RedisStore(request.getfixturevalue("redis").url)
        case "bus":
            return BusStore(request.getfixturevalue("bucket"))
        case _:
            return MemoryStore()


@pytest.fixture
async def cache(store: Store) -> AsyncIterator[Cache]:
    made = Cache(store, patience=5)
    yield made
    await made.close()
