"""What time it is by the server. Deadlines are on its clock: that of a machine may be set wrong, and no two agree."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from trunkline.bus.streams import stream_info
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.subjects import TRUNK

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

log = structlog.get_logger("trunkline.bus")

AGAIN_SECONDS = 30.0


class ServerClock:
    """The server's time, asked for every half minute and carried on by the event loop's clock, which nobody sets."""

    def __init__(self) -> None:
        self._said = datetime.fromtimestamp(0, UTC)
        self._heard = 0.0

    def now(self) -> datetime:
        """Never ahead of the server: what it said may have travelled for a while."""
        return self._said + timedelta(seconds=asyncio.get_running_loop().time() - self._heard)

    @contextlib.asynccontextmanager
    async def running(self, bus: Bus) -> AsyncIterator[ServerClock]:
        """Right while inside. Raises BusUnavailable."""
        await self._ask(bus)
        asking = asyncio.create_task(self._keep_asking(bus), name="server clock")
        try:
            yield self
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _keep_asking(self, bus: Bus) -> None:
        while True:
            await asyncio.sleep(AGAIN_SECONDS)
            try:
                await self._ask(bus)
            except BusUnavailable as error:
                log.info("the server's time was not told", action="clock_failed", error=error.what)

    async def _ask(self, bus: Bus) -> None:
        said = (await stream_info(bus, TRUNK)).now
        self._said, self._heard = said, asyncio.get_running_loop().time()
