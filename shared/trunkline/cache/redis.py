"""In Redis or Valkey, through aiocache. Bound it there: `maxmemory`, and `maxmemory-policy allkeys-lru`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from trunkline.cache.entry import CacheKey
from trunkline.contracts.errors import InvalidSettings

CONNECTIONS = 32
"""At most so many; whoever comes then waits for its turn."""


class RedisStore:
    """At a URL like `redis://user:password@host:6379/0`; `rediss` for TLS. Raises InvalidSettings for another one, and
    without the extra `redis`.
    """

    def __init__(self, url: str) -> None:
        self._cache, self._error = _connect(url)
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self.name = f"redis at {self._cache.endpoint}:{self._cache.port}"

    async def get(self, key: CacheKey) -> bytes | None:
        found: bytes | None = await self._turn(lambda: self._cache.get(key))
        return found

    async def put(self, key: CacheKey, raw: bytes, ttl: float) -> None:
        await self._turn(lambda: self._cache.set(key, raw, ttl=float(ttl)))

    async def delete(self, key: CacheKey) -> None:
        await self._turn(lambda: self._cache.delete(key))

    async def close(self) -> None:
        await self._turn(self._cache.client.aclose)
        await self._turn(self._cache.client.connection_pool.disconnect)

    async def _turn(self, operation: Callable[[], Awaitable[Any]]) -> Any:
        """Raises ConnectionError for whatever redis raises."""
        async with self._turns:
            try:
                return await operation()
            except self._error as error:
                raise ConnectionError(f"{type(error).__name__}: {error}") from error


def _connect(url: str) -> tuple[Any, type[Exception]]:
    """An aiocache, which connects when it is first used, and what redis raises."""
    try:
        from aiocache import RedisCache
        from aiocache.serializers import NullSerializer
        from redis.exceptions import RedisError
    except ImportError as error:
        raise InvalidSettings("The Redis cache needs a client.", "Install trunkline[redis].") from error
    parts = urlsplit(url)
    database = parts.path.strip("/") or "0"
    if parts.scheme not in ("redis", "rediss") or not parts.hostname or not database.isdecimal():
        raise InvalidSettings("The address of the Redis cache cannot be used.", "Like redis://host:6379/0.")
    cache = RedisCache(
        serializer=NullSerializer(encoding=None),
        namespace="trunkline",
        timeout=None,
        endpoint=parts.hostname,
        port=parts.port or 6379,
        db=int(database),
        password=unquote(parts.password) if parts.password else None,
        ssl=parts.scheme == "rediss",
        connection_pool_kwargs={"username": unquote(parts.username)} if parts.username else None,
    )
    return cache, RedisError
