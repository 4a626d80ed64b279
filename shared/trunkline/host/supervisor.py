"""Keeps processes running: starts them, starts again what leaves, and stops them all, in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from trunkline.bus import Bus
from trunkline.contracts.errors import DeadlinePassed, InvalidSettings
from trunkline.host.backoff import Backoff
from trunkline.host.child import Child
from trunkline.host.events import GaveUp, Left, Ready, Tell
from trunkline.host.health import until_ready
from trunkline.host.log_file import LogFile
from trunkline.host.log_lines import LogReader
from trunkline.host.services import ProcessPlan

CALLERS_MISTAKE = 2
START_SECONDS = 60.0
STOP_MARGIN = 5.0


class Supervisor:
    """Runs `plans` while inside `running()`. `drain`: seconds that work under way may take when it stops."""

    def __init__(self, bus: Bus, plans: Sequence[ProcessPlan], logs: Path, tell: Tell, *, drain: float = 20.0) -> None:
        self._bus = bus
        self._plans = plans
        self._logs = logs
        self._tell = tell
        self._drain = drain
        self._children: dict[str, Child] = {}
        self._ready = {plan.service: asyncio.Event() for plan in plans}
        self._given_up: set[str] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Supervisor]:
        """On leaving every process gets SIGTERM, and SIGKILL when it has not drained in time."""
        self._keepers = [asyncio.create_task(self._keep(plan), name=f"keep {plan.service}") for plan in self._plans]
        try:
            yield self
        finally:
            await self._stop()

    def pid(self, service: str) -> int:
        """0 while it is not running."""
        child = self._children.get(service)
        return child.pid if child else 0

    async def until_ready(self, seconds: float = START_SECONDS) -> None:
        """Raises InvalidSettings when one refuses to start, DeadlinePassed when one does not answer in time."""
        waiting = asyncio.create_task(self._all_ready(), name="all ready")
        try:
            done, _ = await asyncio.wait(
                [waiting, *self._keepers], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        for ended in done.intersection(self._keepers):
            ended.result()
        if self._given_up:
            raise InvalidSettings(f"{_list(self._given_up)} cannot start.", "The lines above say why.")
        if not done:
            late = {service for service, event in self._ready.items() if not event.is_set()}
            raise DeadlinePassed(f"{_list(late)}: not ready after {seconds:g} s.", f"The logs are in {self._logs}.")

    async def _all_ready(self) -> None:
        for ready in self._ready.values():
            await ready.wait()

    async def until_all_gave_up(self) -> None:
        """Until nothing is left that could be started again."""
        await asyncio.wait(self._keepers)

    def kill(self) -> None:
        """End everything at once; what was under way, another process takes over later."""
        self._stopping = True
        for child in self._children.values():
            child.kill()

    async def _keep(self, plan: ProcessPlan) -> None:
        """Start it, and start it again, until it is stopped or given up."""
        loop, backoff, log = asyncio.get_running_loop(), Backoff(), LogFile(self._logs, plan.log)
        try:
            while True:
                began = loop.time()
                code = await self._live(plan, log)
                if self._stopping:
                    return
                if code == CALLERS_MISTAKE:
                    self._give_up(plan.service)
                    return
                pause = backoff.after(loop.time() - began)
                self._tell(Left(plan.service, code, pause))
                await asyncio.sleep(pause)
        finally:
            log.close()

    async def _live(self, plan: ProcessPlan, log: LogFile) -> int:
        """One life of the process; its exit code."""
        reader = LogReader(plan.service)

        def hear(raw: bytes) -> None:
            log.write(raw)
            for line in reader.read(raw):
                self._tell(line)

        child = self._children[plan.service] = await Child.start(plan.command, plan.environment, hear)
        if self._stopping:
            child.terminate()
        watching = asyncio.create_task(self._see_it_ready(plan.service, child.pid), name=f"health of {plan.service}")
        try:
            return await child.wait()
        except asyncio.CancelledError:
            child.kill()
            raise
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            del self._children[plan.service]
            for line in reader.rest():
                self._tell(line)

    async def _see_it_ready(self, service: str, pid: int) -> None:
        began = asyncio.get_running_loop().time()
        await until_ready(self._bus, service, pid)
        self._tell(Ready(service, asyncio.get_running_loop().time() - began))
        self._ready[service].set()

    def _give_up(self, service: str) -> None:
        self._given_up.add(service)
        self._tell(GaveUp(service))

    async def _stop(self) -> None:
        self._stopping = True
        for plan, keeper in zip(self._plans, self._keepers, strict=True):
            if child := self._children.get(plan.service):
                child.terminate()
            else:
                keeper.cancel()
        _, late = await asyncio.wait(self._keepers, timeout=self._drain + STOP_MARGIN)
        if late:
            self.kill()
        await asyncio.gather(*self._keepers, return_exceptions=True)


def _list(services: set[str]) -> str:
    return ", ".join(sorted(services))
