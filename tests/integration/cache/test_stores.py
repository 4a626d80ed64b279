"""What every store promises, and what only some do."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from tests.conftest import wait_until
from tests.integration.cache.conftest import MIB
from tests.redis_server import RedisServer
from trunkline.bus import Bus
from trunkline.bus.bucket import Bucket
from trunkline.cache import BusStore, Cache, CacheKey, Entry, RedisStore, cache_key
from trunkline.cache.cache import LARGEST
from trunkline.contracts.errors import InvalidSettings

KEY = cache_key(["question"], tenant="main", user=None)
ENTRY = Entry(bytes(range(256)), Decimal("0.000000120"))


async def test_what_is_put_is_got_until_it_is_deleted(cache: Cache) -> None:
    assert await cache.get(KEY) is None
    await cache.put(KEY, ENTRY, 60)
    assert await cache.get(KEY) == ENTRY
    newer = Entry(b"newer")
    await cache.put(KEY, newer, 60)
    assert await cache.get(KEY) == newer
    await cache.delete(KEY)
    assert await cache.get(KEY) is None
    await cache.delete(KEY)
    await cache.put(KEY, ENTRY, 60)
    assert await cache.get(KEY) == ENTRY


async def test_it_ends_with_its_time_to_live(cache: Cache) -> None:
    other = cache_key(["another"], tenant="main", user=None)
    await cache.put(other, ENTRY, 60)
    await cache.put(KEY, ENTRY, 3)
    assert await cache.get(KEY) == ENTRY

    async def gone() -> bool:
        return await cache.get(KEY) is None

    await wait_until(gone, "the end of its time to live")
    assert await cache.get(other) == ENTRY


async def test_the_largest_is_kept_and_a_larger_one_is_not(cache: Cache) -> None:
    large = Entry(b"x" * (LARGEST - 200))
    await cache.put(KEY, large, 60)
    assert await cache.get(KEY) == large
    larger = cache_key(["larger"], tenant="main", user=None)
    await cache.put(larger, Entry(b"x" * (LARGEST + 1)), 60)
    assert await cache.get(larger) is None
    assert await cache.get(KEY) == large


async def test_bytes_that_somebody_else_wrote_are_a_miss(cache: Cache) -> None:
    await cache._store.put(KEY, b"\xff\x00 no entry", 60)
    assert await cache.get(KEY) is None


async def test_many_at_once_get_each_their_own(cache: Cache) -> None:
    keys = [cache_key([str(number)], tenant="main", user=None) for number in range(200)]
    entries = [Entry(str(number).encode()) for number in range(200)]
    await asyncio.gather(*(cache.put(key, entry, 60) for key, entry in zip(keys, entries, strict=True)))
    assert await asyncio.gather(*(cache.get(key) for key in keys)) == entries


async def test_a_full_bucket_forgets_what_was_written_first(connection: Bus) -> None:
    store = BusStore(Bucket(connection, "small", max_bytes=MIB, wait=5))
    keys = [CacheKey(f"main.shared.{number}") for number in range(20)]
    for key in keys:
        await store.put(key, b"x" * 100_000, 60)
    kept = [key for key in keys if await store.get(key)]
    assert 5 <= len(kept) <= 10
    assert kept == keys[-len(kept) :]


async def test_a_bucket_that_was_lost_is_made_again(connection: Bus, bucket: Bucket) -> None:
    cache = Cache(BusStore(bucket), patience=5)
    await cache.put(KEY, ENTRY, 60)
    await connection.api("STREAM.DELETE.KV_cache")

    async def kept_again() -> bool:
        await cache.put(KEY, ENTRY, 60)
        return await cache.get(KEY) == ENTRY

    await wait_until(kept_again, "a new bucket")


async def test_a_key_on_the_bus_leaves_nothing_behind(connection: Bus, bucket: Bucket) -> None:
    await bucket.put("a.b", b"x", 60)
    await bucket.delete("a.b")

    async def empty() -> bool:
        return bool((await connection.api("STREAM.INFO.KV_cache"))["state"]["messages"] == 0)

    await wait_until(empty, "the end of the deletion's own message")


async def test_what_redis_is_shown_says_nothing_of_the_question(redis: RedisServer) -> None:
    store = RedisStore(redis.url)
    cache = Cache(store, patience=5)
    await cache.put(cache_key(["my secret"], tenant="main", user="zoe"), ENTRY, 60)
    keys = await store._cache.client.keys("*")
    assert len(keys) == 1
    assert keys[0].startswith(b"trunkline:main.")
    assert b"secret" not in keys[0]
    assert b"zoe" not in keys[0]
    await cache.close()


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:6379", "redis://", "redis://127.0.0.1/first"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    pytest.importorskip("redis")
    with pytest.raises(InvalidSettings, match=r"redis://host:6379/0"):
        RedisStore(url)
