"""Who is there: a card whose heartbeat stopped is late, then gone."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from trunkline.bus.follow import follow
from trunkline.bus.stored import StoredMessage
from trunkline.bus.streams import stream_info
from trunkline.contracts.codec import decode
from trunkline.contracts.errors import BusUnavailable, WireViolation
from trunkline.contracts.registry import AgentCard, ToolCard

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

log = structlog.get_logger("trunkline.registry")

AGAIN_SECONDS = 1.0
IN_TOUCH_SECONDS = 3.0
"""Without a sign of the bus for so long, nobody can be seen any more."""

Card = TypeVar("Card", AgentCard, ToolCard)


@dataclass(frozen=True, slots=True)
class Present(Generic[Card]):
    """A card, and whether its heartbeat is overdue: then its process is probably being restarted."""

    card: Card
    late: bool


class Roster(Generic[Card]):
    """What a bucket says now. A card is as old as its last heartbeat is by the server's clock; no older than it was
    when the bus was lost from sight, while it is.

    `late_beats` missed heartbeats: probably being restarted, so work may still be queued for it. `gone_seconds`: away.
    """

    def __init__(self, type_: type[Card], *, late_beats: float = 3.0, gone_seconds: float = 20.0) -> None:
        self._type: type[Card] = type_
        self._late_beats = late_beats
        self._gone_seconds = gone_seconds
        self._cards: dict[str, tuple[Card, float]] = {}
        self._in_touch_at = math.inf
        self.changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def watching(self, bus: Bus, bucket: str) -> AsyncIterator[Roster[Card]]:
        """Follow the bucket while inside; the first look is complete on entering. Raises BusUnavailable."""
        stream = f"KV_{bucket}"
        ready = asyncio.Event()
        now = (await stream_info(bus, stream)).now
        task = asyncio.create_task(self._keep_following(bus, stream, now, ready), name=f"watch {bucket}")
        try:
            await self._first_look(ready, bucket)
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _first_look(self, ready: asyncio.Event, bucket: str) -> None:
        try:
            async with asyncio.timeout(10):
                await ready.wait()
        except TimeoutError as error:
            raise BusUnavailable(f"The registry {bucket} cannot be read.", "Try again.") from error

    def present(self) -> list[Present[Card]]:
        """Cards that are fresh, or late and likely to come back."""
        now = self._now()
        found = []
        for card, beat in self._cards.values():
            late = now - beat > card.beat_seconds * self._late_beats
            if not late or now - beat <= self._gone_seconds:
                found.append(Present(card, late))
        return found

    def live(self) -> list[Card]:
        """Cards whose heartbeat is fresh."""
        return [each.card for each in self.present() if not each.late]

    def expected(self) -> list[Card]:
        """Cards that are fresh, or late and likely to come back."""
        return [each.card for each in self.present()]

    def _now(self) -> float:
        return min(asyncio.get_running_loop().time(), self._in_touch_at + IN_TOUCH_SECONDS)

    def _in_touch(self) -> None:
        """What could not be seen is not held against anybody."""
        now = asyncio.get_running_loop().time()
        if unseen := now - self._now():
            self._cards = {key: (card, beat + unseen) for key, (card, beat) in self._cards.items()}
        self._in_touch_at = now

    async def _keep_following(self, bus: Bus, stream: str, asked_at: datetime, ready: asyncio.Event) -> None:
        """Whatever goes wrong is said, and the bucket read anew; without a bus there is nothing more to see."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not bus.lost.is_set():
            try:
                await self._follow(bus, stream, asked_at + timedelta(seconds=loop.time() - began), ready)
            except Exception as error:  # a roster that stood still would show everybody as gone
                log.error("cannot see the registry", action="roster_failed", stream=stream, exc_info=error)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _follow(self, bus: Bus, stream: str, asked_at: datetime, ready: asyncio.Event) -> None:
        caught_up = False
        async for batch in follow(bus, stream, latest=True, in_touch=self._in_touch):
            if batch:
                newest = max(message.at for message in batch)
                self._hear(batch, newest if caught_up else max(newest, asked_at))
            else:
                caught_up = True
                ready.set()

    def _hear(self, batch: Sequence[StoredMessage], server_now: datetime) -> None:
        """What is stored already may be old, whenever we hear of it."""
        now = asyncio.get_running_loop().time()
        for message in batch:
            self._take(message, now - (server_now - message.at).total_seconds())
        self._cards = {key: held for key, held in self._cards.items() if now - held[1] <= self._forget_seconds(held[0])}

    def _forget_seconds(self, card: Card) -> float:
        """After that a worker that left without a word is not kept in memory either."""
        return max(self._gone_seconds, card.beat_seconds * self._late_beats)

    def _take(self, message: StoredMessage, beat: float) -> None:
        key = message.subject.split(".", 2)[2]
        before = self._cards.get(key)
        if message.headers and "KV-Operation" in message.headers:
            self._cards.pop(key, None)
            after = None
        else:
            try:
                after = decode(message.data, self._type)
            except WireViolation as error:
                log.warning("left out a card that cannot be read", action="bad_card", key=key, reason=str(error))
                return
            self._cards[key] = (after, beat)
        if (before[0] if before else None) != after:
            self.changed.set()
            self.changed = asyncio.Event()


async def cards_now(bus: Bus, bucket: str, type_: type[Card]) -> list[Present[Card]]:
    """One look at the bucket. Raises BusUnavailable."""
    async with Roster(type_).watching(bus, bucket) as roster:
        return roster.present()
