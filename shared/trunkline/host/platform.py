"""The whole platform on this machine: the bus, if it is ours, then the services; and down again, the bus last."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from trunkline.bus import Bus, provision
from trunkline.host.bus_keeper import BUS, BusKeeper
from trunkline.host.environment import Told
from trunkline.host.events import Ready, Tell
from trunkline.host.folder_lock import locked
from trunkline.host.server import EmbeddedServer
from trunkline.host.services import whole_platform
from trunkline.host.supervisor import Supervisor


@dataclass(frozen=True, kw_only=True)
class PlatformPlan:
    """`url` is a bus that runs already; without one, our own is started on `port`. `drain` in seconds."""

    data: Path
    files: tuple[Path, ...] = ()
    url: str = ""
    port: int = 4222
    config: Path | None = None
    drain: float = 20.0

    @property
    def bus_url(self) -> str:
        return self.url or f"nats://127.0.0.1:{self.port}"

    @property
    def logs(self) -> Path:
        return self.data / "logs"


class Platform:
    """`tell` hears what happens. Raises InvalidSettings and BusUnavailable at once for what can be known before."""

    def __init__(self, plan: PlatformPlan, tell: Tell) -> None:
        self.plan = plan
        self._tell = tell
        told = Told(url=plan.bus_url, data=plan.data, config=plan.config, drain=plan.drain)
        self._services = whole_platform(told, plan.files)
        self._server = None if plan.url else EmbeddedServer(plan.data.absolute() / BUS, plan.port)
        self._to_kill: list[Callable[[], None]] = []
        if self._server:
            self._server.check_port()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Bus]:
        """Everything is ready inside. Raises BusUnavailable, InvalidSettings, DeadlinePassed."""
        plan = self.plan
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(locked(plan.data))
            if self._server:
                await self._start_bus(self._server, stack)
            bus = await stack.enter_async_context(Bus.open(plan.bus_url, name="trunkline-supervisor"))
            await provision(bus)
            supervisor = Supervisor(bus, self._services, plan.logs, self._tell, drain=plan.drain)
            self._to_kill.insert(0, supervisor.kill)
            await stack.enter_async_context(supervisor.running())
            await supervisor.until_ready()
            yield bus

    def kill(self) -> None:
        """End every process at once."""
        for kill in self._to_kill:
            kill()

    async def _start_bus(self, server: EmbeddedServer, stack: contextlib.AsyncExitStack) -> None:
        keeper = BusKeeper(server, self._tell)
        self._to_kill.append(keeper.kill)
        began = time.monotonic()
        await stack.enter_async_context(keeper.running())
        self._tell(Ready(BUS, time.monotonic() - began))
