"""Being there: cards in a key-value bucket, refreshed by a heartbeat, taken out on leaving."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import structlog

from trunkline.contracts.codec import encode
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.registry import AgentCard, ToolCard

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

log = structlog.get_logger("trunkline.registry")

AGENTS = "agents"
TOOLS = "tools"


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
