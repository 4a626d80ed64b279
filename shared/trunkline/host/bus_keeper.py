"""The embedded bus under supervision: when it is gone, it is started again on the same log."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

from trunkline.contracts.errors import BusUnavailable
from trunkline.host.backoff import Backoff
from trunkline.host.events import Left, Ready, Tell
from trunkline.host.server import EmbeddedServer

LOOK_SECONDS = 0.25
BUS = "bus"


class BusKeeper:
    """Runs `server` while inside `running()`."""

    def __init__(self, server: EmbeddedServer, tell: Tell) -> None:
        self._server = server
        self._tell = tell
        self._stopping = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[EmbeddedServer]:
        """Raises BusUnavailable when it cannot be started at first."""
        async with self._server.running():
            keeping = asyncio.create_task(self._keep(), name="keep the bus")
            try:
                yield self._server
            finally:
                self._stopping.set()
                await asyncio.gather(keeping, return_exceptions=True)

    def kill(self) -> None:
        self._stopping.set()
        if self._server.alive():
            os.kill(self._server.pid, signal.SIGKILL)

    async def _keep(self) -> None:
        backoff, began = Backoff(), asyncio.get_running_loop().time()
        while not await self._stopped_within(LOOK_SECONDS):
            if self._server.alive():
                continue
            pause = backoff.after(asyncio.get_running_loop().time() - began)
            self._tell(Left(BUS, self._server.exit_code, pause))
            if await self._stopped_within(pause):
                return
            began = asyncio.get_running_loop().time()
            with contextlib.suppress(BusUnavailable):
                await self._server.start()
                self._tell(Ready(BUS, asyncio.get_running_loop().time() - began))

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True
