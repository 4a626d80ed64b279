"""The cache in memory is bounded in entries and in bytes, by what was not used for longest."""

from __future__ import annotations

import asyncio

from tests.conftest import wait_until
from trunkline.cache import CacheKey, MemoryStore

LONG = 3600.0


async def test_what_was_not_used_for_longest_makes_room() -> None:
    store = MemoryStore(max_entries=3)
    for name in "abc":
        await store.put(CacheKey(name), name.encode(), LONG)
    await store.get(CacheKey("a"))
    await store.put(CacheKey("d"), b"d", LONG)
    found = [name for name in "abcd" if await store.get(CacheKey(name))]
    assert found == ["a", "c", "d"]
    await store.close()


async def test_bytes_are_bounded_whatever_is_put_replaced_deleted_or_expires() -> None:
    store = MemoryStore(max_bytes=1000)
    for number in range(50):
        await store.put(CacheKey(f"{number % 20:02}"), b"x" * (number * 7 % 300), LONG)
        await store.delete(CacheKey(f"{number * 3 % 20:02}"))
        held = [(key, await store.get(CacheKey(key))) for key in (f"{each:02}" for each in range(20))]
        size = sum(len(key) + len(value) for key, value in held if value is not None)
        assert size == store._cache._cache.size <= 1000
    await store.put(CacheKey("short"), b"x", 0.01)

    async def expired() -> bool:
        return await store.get(CacheKey("short")) is None

    await wait_until(expired, "the end of an entry's time to live")
    await store.close()
    assert store._cache._cache.size == 0


async def test_one_that_is_larger_than_all_leaves_nothing_wrong() -> None:
    store = MemoryStore(max_bytes=100)
    await store.put(CacheKey("large"), b"x" * 200, LONG)
    assert await store.get(CacheKey("large")) is None
    await store.put(CacheKey("small"), b"x", LONG)
    assert await store.get(CacheKey("small")) == b"x"
    await store.close()


async def test_what_makes_room_leaves_no_timer() -> None:
    store = MemoryStore(max_entries=5)
    for number in range(100):
        await store.put(CacheKey(str(number)), b"x", LONG)
    timers = [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
    assert len(store._cache._handlers) == 5
    assert len(timers) <= 5 + 1  # and the test's own
    await store.close()
    assert not store._cache._handlers
