"""The agents and tools of one file, joined to a platform that runs already."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from trunkline.bus import Bus
from trunkline.bus.provision import provisioned
from trunkline.bus.registry import AGENTS
from trunkline.bus.roster import Roster
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.registry import AgentCard
from trunkline.contracts.subjects import health
from trunkline.host.declarations import Declared
from trunkline.host.environment import Told
from trunkline.host.events import Tell
from trunkline.host.services import agents_of, tools_of
from trunkline.host.supervisor import Supervisor

REGISTRY_SECONDS = 10.0


class Joining:
    """A process for the file's agents if it has some, and one for its tools; `tell` hears what happens to them."""

    def __init__(self, file: Path, declared: Declared, told: Told, tell: Tell) -> None:
        self._told = told
        self._tell = tell
        self._agents = {agent.name for agent in declared.agents}
        self._plans = [
            *([tools_of(told, file)] if declared.tools else []),
            *([agents_of(told, file)] if declared.agents else []),
        ]
        self._supervisor: Supervisor | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Bus]:
        """Registered inside. Raises BusUnavailable, InvalidSettings, DeadlinePassed."""
        told = self._told
        async with Bus.open(told.url, name="trunkline-run") as bus:
            if not await provisioned(bus):
                raise BusUnavailable(
                    f"There is no Trunkline on the bus at {told.url}.", "Start it with `trunkline up`."
                )
            supervisor = Supervisor(bus, self._plans, told.data / "logs", self._tell, drain=told.drain)
            self._supervisor = supervisor
            async with supervisor.running():
                await supervisor.until_ready()
                await self._until_registered(bus, supervisor.pid("agents"))
                yield bus

    async def until_all_gave_up(self) -> None:
        if self._supervisor:
            await self._supervisor.until_all_gave_up()

    def kill(self) -> None:
        """End every process at once."""
        if self._supervisor:
            self._supervisor.kill()

    async def _until_registered(self, bus: Bus, pid: int) -> None:
        """Until the registry shows each agent with the worker that runs as `pid`."""
        roster = Roster(AgentCard)
        async with roster.watching(bus, AGENTS):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REGISTRY_SECONDS):
                    while not self._agents <= {card.agent for card in roster.live() if f"-{pid}-" in card.worker}:
                        await roster.changed.wait()


async def has_router(bus: Bus) -> bool:
    """Whether anybody would send questions here."""
    try:
        await bus.mailbox.request(health("router"), b"", wait=2.0)
    except BusUnavailable:
        return False
    return True
