"""The store that a setting names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.bus.bucket import Bucket
from trunkline.cache.memory import MemoryStore
from trunkline.cache.on_bus import BusStore
from trunkline.cache.redis import RedisStore

if TYPE_CHECKING:
    from trunkline.bus import Bus
    from trunkline.cache.cache import Store


def open_store(where: str, bus: Bus, *, max_entries: int = 10_000, max_bytes: int = 64 * 1024 * 1024) -> Store | None:
    """`memory`, bounded by what else is given; `bus`; a `redis://` URL; or none: `off`. Raises InvalidSettings."""
    match where:
        case "off":
            return None
        case "memory":
            return MemoryStore(max_entries=max_entries, max_bytes=max_bytes)
        case "bus":
            return BusStore(Bucket.answers(bus))
        case url:
            return RedisStore(url)
