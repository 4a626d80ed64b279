"""On the bus: replicas of a service share what they have, without another server."""

from __future__ import annotations

from trunkline.bus.bucket import Bucket
from trunkline.cache.entry import CacheKey


class BusStore:
    """In a bucket, which is bounded and forgets what was written first. Close the bus yourself."""

    name = "bus"

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def get(self, key: CacheKey) -> bytes | None:
        return await self._bucket.get(f"entry.{key}")

    async def put(self, key: CacheKey, raw: bytes, ttl: float) -> None:
        await self._bucket.put(f"entry.{key}", raw, ttl)

    async def delete(self, key: CacheKey) -> None:
        await self._bucket.delete(f"entry.{key}")

    async def close(self) -> None:
        """The bus is not ours."""
