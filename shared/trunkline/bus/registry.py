"""Who is there: cards in a key-value bucket, refreshed by a heartbeat, gone when it stops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from trunkline.bus.follow import follow
from trunkline.bus.stored import StoredMessage
from trunkline.contracts.codec import decode, encode
from trunkline.contracts.errors import BusUnavailable, WireViolation
from trunkline.contracts.registry import AgentCard, ToolCard

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

log = structlog.get_logger("trunkline.registry")

AGENTS = "agents"
TOOLS = "tools"
Card = TypeVar("Card", AgentCard, ToolCard)


@contextlib.asynccontextmanager
async def registered(bus: Bus, bucket: str, cards: dict[str, AgentCard] | dict[str, ToolCard]) -> AsyncIterator[None]:
    """Keep `cards` (by key) in the bucket while inside; take them out on leaving, so that nobody counts on us."""

    async def put() -> None:
        for key, card in cards.items():
            await bus.mailbox.request(f"$KV.{bucket}.{key}", encode(card))

    await put()
    beat = min((card.beat_seconds for card in cards.values()), default=2.0)
    beating = asyncio.create_task(_keep_beating(put, beat), name=f"registry {bucket}")
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        for key in cards:
            with contextlib.suppress(BusUnavailable):
                await bus.mailbox.request(f"$KV.{bucket}.{key}", b"", headers={"KV-Operation": "DEL"}, wait=1.0)


async def _keep_beating(put: Callable[[], Awaitable[None]], seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await put()
        except BusUnavailable as error:
            log.info("no heartbeat", action="registry_beat_failed", error=error.what)


class Roster(Generic[Card]):
    """What a bucket says now. A card whose heartbeat stopped is late, then gone.

    `late_beats` missed heartbeats: probably being restarted, so work may still be queued for it. `gone_seconds`: away.
    """

    def __init__(self, type_: type[Card], *, late_beats: float = 3.0, gone_seconds: float = 20.0) -> None:
        self._type: type[Card] = type_
        self._late_beats = late_beats
        self._gone_seconds = gone_seconds
        self._cards: dict[str, tuple[Card, float]] = {}
        self.changed = asyncio.Event()
        self.version = 0

    @contextlib.asynccontextmanager
    async def watching(self, bus: Bus, bucket: str) -> AsyncIterator[Roster[Card]]:
        """Follow the bucket while inside; the first look is complete on entering."""
        ready = asyncio.Event()
        task = asyncio.create_task(self._follow(bus, bucket, ready), name=f"watch {bucket}")
        try:
            async with asyncio.timeout(10):
                await ready.wait()
            yield self
        except TimeoutError as error:
            raise BusUnavailable(f"The registry {bucket} cannot be read.", "Try again.") from error
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def live(self) -> list[Card]:
        """Cards whose heartbeat is fresh."""
        now = asyncio.get_running_loop().time()
        return [card for card, seen in self._cards.values() if now - seen <= card.beat_seconds * self._late_beats]

    def expected(self) -> list[Card]:
        """Cards that are fresh, or late and likely to come back."""
        now = asyncio.get_running_loop().time()
        return [card for card, seen in self._cards.values() if now - seen <= self._gone_seconds]

    async def _follow(self, bus: Bus, bucket: str, ready: asyncio.Event) -> None:
        async for batch in follow(bus, f"KV_{bucket}", latest=True):
            for message in batch:
                self._take(message)
            ready.set()

    def _take(self, message: StoredMessage) -> None:
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
            self._cards[key] = (after, asyncio.get_running_loop().time())
        if (before[0] if before else None) != after:
            self.version += 1
            self.changed.set()
            self.changed = asyncio.Event()
