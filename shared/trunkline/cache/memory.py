"""In this process: aiocache's memory backend, with bounds. What was not used for longest makes room."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from aiocache import SimpleMemoryCache

from trunkline.cache.entry import CacheKey


class MemoryStore:
    """At most `max_entries` of at most `max_bytes` together, keys included."""

    name = "memory"

    def __init__(self, *, max_entries: int = 10_000, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._cache = _Bounded(max_entries, max_bytes)

    async def get(self, key: CacheKey) -> bytes | None:
        found: bytes | None = await self._cache.get(key)
        return found

    async def put(self, key: CacheKey, raw: bytes, ttl: float) -> None:
        await self._cache.set(key, raw, ttl=ttl)

    async def delete(self, key: CacheKey) -> None:
        await self._cache.delete(key)

    async def close(self) -> None:
        """Forget everything, with the timers that would have ended it."""
        await self._cache.clear_all()


class _Sized(OrderedDict[str, bytes]):
    """Knows how many bytes it holds, whoever takes them out."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def __setitem__(self, key: str, value: bytes) -> None:
        self.pop(key, None)
        super().__setitem__(key, value)
        self.size += len(key) + len(value)

    def pop(self, key: str, default: Any = None) -> Any:
        """As aiocache takes out what has expired or is deleted."""
        value = super().pop(key, None)
        if value is None:
            return default
        self.size -= len(key) + len(value)
        return value


class _Bounded(SimpleMemoryCache):  # type: ignore[misc]  # aiocache ships no types
    _cache: _Sized

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        super().__init__(timeout=None)
        self._cache = _Sized()
        self._max_entries = max_entries
        self._max_bytes = max_bytes

    async def clear_all(self) -> None:
        for key in list(self._cache):
            await self._delete(key)

    async def _get(self, key: str, **_options: object) -> bytes | None:
        found = self._cache.get(key)
        if found is not None:
            self._cache.move_to_end(key)
        return found

    async def _set(self, key: str, value: bytes, ttl: float | None = None, **_options: object) -> bool:
        await super()._set(key, value, ttl=ttl)
        while len(self._cache) > self._max_entries or self._cache.size > self._max_bytes:
            await self._delete(next(iter(self._cache)))
        return True
