"""A cache of answers: private to a user or shared, bounded, in memory, in Redis or on the bus, made once for many."""

from trunkline.cache.cache import Cache, Store
from trunkline.cache.entry import CacheKey, Entry, cache_key
from trunkline.cache.memory import MemoryStore
from trunkline.cache.on_bus import BusStore
from trunkline.cache.opening import open_store
from trunkline.cache.redis import RedisStore
from trunkline.cache.single_flight import Served, SingleFlight

__all__ = [
    "BusStore",
    "Cache",
    "CacheKey",
    "Entry",
    "MemoryStore",
    "RedisStore",
    "Served",
    "SingleFlight",
    "Store",
    "cache_key",
    "open_store",
]
