"""Single flight: however many ask for the same thing at once, it is made once, and all get it, or its error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from trunkline.bus.claims import Claim, Claims, Held, Waiting
from trunkline.cache.cache import LARGEST, Cache
from trunkline.cache.entry import CacheKey, Entry, decode_entry, encode_entry
from trunkline.cache.outage import Outage
from trunkline.contracts.errors import BusUnavailable, TryAgain

Make = Callable[[], Awaitable[Entry]]

CLAIM_SECONDS = 1.0
"""Patience with the bus when a claim is laid; without an answer, whoever asked makes it alone."""


@dataclass(frozen=True, slots=True)
class Served:
    """`made`: this caller's own `make` was called, so nothing was saved."""

    entry: Entry
    made: bool


@dataclass(slots=True)
class _Flight:
    task: asyncio.Task[Served]
    waiting: int = 0


class SingleFlight:
    """In one process; with `claims`, in all processes that share them. When the bus is away, each process makes it."""

    def __init__(self, cache: Cache, claims: Claims | None = None) -> None:
        self._cache = cache
        self._claims = claims
        self._outage = Outage("claims on the bus", patience=CLAIM_SECONDS)
        self._flights: dict[CacheKey, _Flight] = {}

    async def __call__(self, key: CacheKey, make: Make, ttl: float) -> Served:
        """What is cached under `key`, else what `make` returns, which is then kept for `ttl` seconds.

        Raises what `make` raises, to everybody who waits for it; the next one to ask tries anew. `make` is cancelled
        when nobody waits for it any more.
        """
        found = await self._cache.get(key)
        if found is not None:
            return Served(found, made=False)
        flight = self._flights.get(key)
        own = flight is None
        if flight is None:
            task = asyncio.create_task(self._fly(key, make, ttl), name=f"cache {key}")
            flight = self._flights[key] = _Flight(task)
            task.add_done_callback(lambda done: self._landed(key, done))
        served = await self._joined(key, flight)
        return served if own else Served(served.entry, made=False)

    async def _joined(self, key: CacheKey, flight: _Flight) -> Served:
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            if flight.task.cancelled() and not _being_cancelled():
                raise TryAgain("What was to be cached was not made: its call was cancelled.", "Ask again.") from None
            raise
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._forget(key, flight.task)
                flight.task.cancel()

    def _forget(self, key: CacheKey, task: asyncio.Task[Served]) -> None:
        """Whoever comes next begins anew."""
        if (flight := self._flights.get(key)) and flight.task is task:
            del self._flights[key]

    def _landed(self, key: CacheKey, task: asyncio.Task[Served]) -> None:
        self._forget(key, task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may be left

    async def _fly(self, key: CacheKey, make: Make, ttl: float) -> Served:
        turn = await self._turn(key)
        if isinstance(turn, Held):
            return await self._fly_claimed(key, make, ttl, turn)
        if turn is not None and turn.error is not None:
            raise turn.error
        entry = decode_entry(turn.value) if turn else None
        return Served(entry, made=False) if entry else await self._make(key, make, ttl)

    async def _turn(self, key: CacheKey) -> Held | Claim | None:
        """None when there is nobody to agree with."""
        claims = self._claims
        if claims is None:
            return None
        found = await self._outage.attempt(lambda: claims.claim(key), None)
        try:
            return await found.turn() if isinstance(found, Waiting) else found
        except BusUnavailable:
            return None

    async def _fly_claimed(self, key: CacheKey, make: Make, ttl: float, held: Held) -> Served:
        try:
            async with held.renewed():
                served = await self._make(key, make, ttl)
        except Exception as error:
            await held.failed(error)
            raise
        except BaseException:
            await held.left()
            raise
        raw = encode_entry(served.entry)
        await held.made(raw if len(raw) <= LARGEST else b"")
        return served

    async def _make(self, key: CacheKey, make: Make, ttl: float) -> Served:
        """Somebody may have been quicker between our first look and our turn."""
        found = await self._cache.get(key)
        if found is not None:
            return Served(found, made=False)
        entry = await make()
        await self._cache.put(key, entry, ttl)
        return Served(entry, made=True)


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
