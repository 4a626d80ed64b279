"""The real platform for tests: a nats-server on a free port, and every service as a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from trunkline.bus import Bus
from trunkline.host.health import until_ready
from trunkline.host.parent_death import die_with_parent
from trunkline.host.server import EmbeddedServer, free_port

SERVICES = ("router", "tools", "agents", "ledger")
WITH_FILE = ("tools", "agents")
READY_SECONDS = 60.0
STOP_SECONDS = 40.0
ROOT = Path(__file__).resolve().parents[1]


class Platform:
    """`file` declares the agents and tools that are hosted; `url` is a bus that runs already. Nothing is restarted by
    itself. `services` names the processes: `agents` and `agents-2` are two of one service. `modules` are what is run
    as a service in place of its own module.

    Every process is known by its pid and ended by it; all of them end with the test process. A service that does not
    get ready, or does not stop, fails with the end of its log.
    """

    def __init__(
        self,
        folder: Path,
        file: Path,
        *,
        services: Sequence[str] = SERVICES,
        env: Mapping[str, str] | None = None,
        url: str = "",
        modules: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.file = file
        self.services = tuple(services)
        self.server = EmbeddedServer(folder / "bus", free_port())
        self.url = url or self.server.url
        self._extra = dict(env or {})
        self._modules = dict(modules or {})
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def env(self) -> dict[str, str]:
        """What a process needs to find this platform: a service, or the command line."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("TRUNKLINE_", "NATS_"))}
        ours.pop("PYTHONDONTWRITEBYTECODE", None)  # a process that is started often compiles once
        return ours | {
            "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode"),
            "NATS_URL": self.url,
            "TRUNKLINE_DATA": str(self.folder / "data"),
            "TRUNKLINE_LEDGER_DATA": str(self.folder / "data"),
            "TRUNKLINE_LOG_FORMAT": "json",
            **self._extra,
        }

    async def start(self) -> None:
        """The bus, then all services; returns when each says that it is ready."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        if self.url == self.server.url:
            await self.server.start()
        for service in self.services:
            self._spawn(service)
        await asyncio.gather(*(self.ready(service) for service in self.services))

    async def stop(self) -> None:
        """All services as an operator would stop them, then the bus. May be called again."""
        running = [service for service in self._processes if self.alive(service)]
        for service in running:
            self.thaw(service)
            self._processes[service].terminate()
        try:
            await asyncio.gather(*(self._left(service) for service in running))
        finally:
            for process in self._processes.values():
                process.kill()
                process.wait()
            await self.server.stop()

    async def kill(self, service: str) -> None:
        """End it as a crash would: at once, with whatever it was doing."""
        self._processes[service].send_signal(signal.SIGKILL)
        await asyncio.to_thread(self._processes[service].wait)

    def freeze(self, service: str) -> None:
        """Let it stand still as a machine would that is paused: its connection stays, and nothing is answered."""
        self._processes[service].send_signal(signal.SIGSTOP)

    def thaw(self, service: str) -> None:
        """Let it go on as if nothing had been."""
        self._processes[service].send_signal(signal.SIGCONT)

    async def restart(self, service: str, *, file: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        """A new process in place of the one that was killed or still runs; returns when it is ready.

        `file` instead of the platform's, and `env` on top of its environment, are for this process alone.
        """
        if self.alive(service):
            self._processes[service].terminate()
            await self._left(service)
        self._spawn(service, file=file, env=env)
        await self.ready(service)

    async def ready(self, service: str) -> None:
        """Until this service's present process says that it takes work."""
        async with Bus.open(self.url, name="test-platform", wait=READY_SECONDS) as bus:
            asking = asyncio.create_task(
                until_ready(bus, service_of(service), self.pid(service)), name=f"ready {service}"
            )
            deadline = asyncio.get_running_loop().time() + READY_SECONDS
            while self.alive(service) and asyncio.get_running_loop().time() < deadline:
                if (await asyncio.wait({asking}, timeout=0.1))[0]:
                    return
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        raise AssertionError(f"{service} did not get ready:\n{self.log(service)}")

    def alive(self, service: str) -> bool:
        return service in self._processes and self._processes[service].poll() is None

    def pid(self, service: str) -> int:
        """Of its present process, or of the last one."""
        return self._processes[service].pid

    def log(self, service: str, characters: int = 4000) -> str:
        """The end of what it wrote, over all its processes."""
        return self._log_file(service).read_text(errors="replace")[-characters:]

    def _spawn(self, service: str, *, file: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        name = service_of(service)
        arguments = [str(file or self.file)] if name in WITH_FILE else []
        with self._log_file(service).open("ab") as log:
            self._processes[service] = subprocess.Popen(
                [sys.executable, "-m", self._modules.get(name, f"trunkline_{name}"), *arguments],
                cwd=ROOT,
                env=self.env | dict(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509  # no other thread runs in it
            )

    def _log_file(self, service: str) -> Path:
        return self.folder / "data" / f"{service}.log"

    async def _left(self, service: str) -> None:
        try:
            await asyncio.to_thread(self._processes[service].wait, STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{service} did not stop within {STOP_SECONDS:g} s:\n{self.log(service)}") from error


def service_of(process: str) -> str:
    """`agents-2` is a process of the service `agents`."""
    return process.partition("-")[0]
