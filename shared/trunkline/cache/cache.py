"""The cache of answers: never an error, never a long wait. What it cannot give is a miss, and the call is made."""

from __future__ import annotations

import contextlib
from typing import Protocol

import structlog

from trunkline.cache.entry import CacheKey, Entry, decode_entry, encode_entry
from trunkline.cache.outage import Outage

log = structlog.get_logger("trunkline.cache")

LARGEST = 512 * 1024
"""Bytes of an entry; a larger one is not kept."""
PATIENCE_SECONDS = 0.5


class Store(Protocol):
    """Where the bytes are. A server that is away is an OSError, such as ConnectionError or BusUnavailable."""

    name: str

    async def get(self, key: CacheKey) -> bytes | None: ...

    async def put(self, key: CacheKey, raw: bytes, ttl: float) -> None:
        """For `ttl` seconds, unless it must make room for others before."""

    async def delete(self, key: CacheKey) -> None: ...

    async def close(self) -> None: ...


class Cache:
    """Over any store. No operation takes longer than `patience` seconds."""

    def __init__(self, store: Store, *, patience: float = PATIENCE_SECONDS) -> None:
        self._store = store
        self._outage = Outage(store.name, patience=patience)

    async def get(self, key: CacheKey) -> Entry | None:
        raw = await self._outage.attempt(lambda: self._store.get(key), None)
        return decode_entry(raw) if raw is not None else None

    async def put(self, key: CacheKey, entry: Entry, ttl: float) -> None:
        """Keep it for `ttl` seconds, a positive number. One that is too large is not kept."""
        raw = encode_entry(entry)
        if len(raw) > LARGEST:
            log.info("an answer is too large to be kept", action="cache_too_large", bytes=len(raw), most=LARGEST)
            return
        await self._outage.attempt(lambda: self._store.put(key, raw, ttl), None)

    async def delete(self, key: CacheKey) -> None:
        """Best effort: while the store is away nothing is deleted, and the entry ends with its time to live."""
        await self._outage.attempt(lambda: self._store.delete(key), None)

    async def close(self) -> None:
        with contextlib.suppress(OSError):
            await self._store.close()
