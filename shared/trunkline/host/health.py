"""Whether a process is ready, as it says itself on the bus."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import nats.errors

from trunkline.bus import Bus
from trunkline.contracts.codec import decode
from trunkline.contracts.errors import WireViolation
from trunkline.contracts.health import Health
from trunkline.contracts.subjects import health

if TYPE_CHECKING:
    from nats.aio.msg import Msg

ASK_SECONDS = 0.05


async def until_ready(bus: Bus, service: str, pid: int) -> None:
    """Until the process `pid` answers that it is ready. Other processes of the service may answer, too."""
    ready = asyncio.Event()

    async def hear(message: Msg) -> None:
        with contextlib.suppress(WireViolation):
            said = decode(message.data, Health)
            if said.ready and said.pid == pid:
                ready.set()

    async with _inbox(bus, hear) as inbox:
        while not ready.is_set():
            with contextlib.suppress(nats.errors.Error, OSError):
                await bus.client.publish(health(service), b"", reply=inbox)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ready.wait(), ASK_SECONDS)


@contextlib.asynccontextmanager
async def _inbox(bus: Bus, hear: Callable[[Msg], Awaitable[None]]) -> AsyncIterator[str]:
    name = bus.client.new_inbox()
    subscription = await bus.client.subscribe(name, cb=hear)
    try:
        yield name
    finally:
        with contextlib.suppress(nats.errors.Error, OSError):
            await subscription.unsubscribe()
