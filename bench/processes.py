"""The measured processes: started, watched, ended by their own handles."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from bench.launch import START_SAMPLING
from bench.measure import cpu_seconds, rss_mib
from trunkline.bus import Bus
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.subjects import health

SEEN_SECONDS = 0.5
"""For the registry's news to reach everyone."""
HERE = Path(__file__).parent
PLATFORM = {
    "router": ["trunkline_router"],
    "agents": ["trunkline_agents", str(HERE / "adder.py")],
    "tools": ["trunkline_tools", str(HERE / "adder.py")],
}
INLINE = {"tools": ["bench.inline_tools", str(HERE / "adder.py")]}
LEDGER = {"ledger": ["trunkline_ledger"]}
RAW = {"router": ["bench.raw", "router"], "agents": ["bench.raw", "agent"], "tools": ["bench.raw", "tool"]}


@dataclass(frozen=True)
class Launching:
    """How processes are started. `samples`: the folder for their profiles, or none."""

    environment: Mapping[str, str]
    folder: Path
    uvloop: bool = False
    samples: Path | None = None

    def command(self, name: str, module: list[str]) -> list[str]:
        watched = ["--uvloop"] if self.uvloop else []
        if self.samples:
            watched += ["--sample", str(self.samples / f"{name}.json")]
        return [sys.executable, "-m", "bench.launch", *watched, *module]


@dataclass
class Side:
    """One way to do the turn: its services, and the client that loads them."""

    name: str
    server_pid: int
    services: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    def cpu(self) -> dict[str, float]:
        """Seconds since each process began; `sandbox` is whatever the services have forked."""
        spent = {name: cpu_seconds(process.pid) for name, process in self.services.items()}
        own = {name: seconds for name, (seconds, _) in spent.items()}
        sandbox = sum(below for _, below in spent.values())
        return {"nats-server": cpu_seconds(self.server_pid)[0]} | own | {"sandbox": sandbox}

    def rss(self) -> dict[str, float]:
        found = {name: rss_mib(process.pid) for name, process in self.services.items()}
        flat = {f"{name} child {n}" if n else name: mib for name, each in found.items() for n, mib in enumerate(each)}
        return flat | {"nats-server": rss_mib(self.server_pid)[0]}

    async def load(self, concurrency: int, runs: int) -> dict[str, Any]:
        client = self.services["client"]
        assert client.stdin
        assert client.stdout
        client.stdin.write(orjson.dumps({"concurrency": concurrency, "runs": runs}) + b"\n")
        line = await client.stdout.readline()
        assert line, f"the load generator of {self.name} failed; see above"
        figures: dict[str, Any] = orjson.loads(line)
        return figures


@contextlib.asynccontextmanager
async def started(
    name: str, modules: Mapping[str, list[str]], url: str, server_pid: int, launching: Launching
) -> AsyncIterator[Side]:
    """The services and their load generator, warm: the first run has been answered."""
    side = Side(name, server_pid)
    try:
        for service, module in modules.items():
            arguments = [*module, url] if module[0] == "bench.raw" else module
            side.services[service] = await _start(launching, f"{name}-{service}", arguments)
        if name == "platform":
            await _until_ready(url, list(modules))
        side.services["client"] = await _start(launching, f"{name}-client", ["bench.load", name, url])
        await side.load(1, 1)
        if launching.samples:
            for process in side.services.values():
                process.send_signal(START_SAMPLING)
        yield side
    finally:
        for process in side.services.values():
            if process.stdin:
                process.stdin.close()
            if process.returncode is None:
                process.terminate()
        await asyncio.gather(*(process.wait() for process in side.services.values()))


async def _until_ready(url: str, services: Sequence[str]) -> None:
    """Raises TimeoutError when one of the platform's services is not ready within a minute."""
    async with Bus.open(url) as bus, asyncio.timeout(60):
        for service in services:
            while not await _ready(bus, service):  # noqa: ASYNC110  # another process has no Event to wait for
                await asyncio.sleep(0.1)
        await asyncio.sleep(SEEN_SECONDS)


async def _ready(bus: Bus, service: str) -> bool:
    try:
        reply = await bus.mailbox.request(health(service), b"", wait=1.0)
    except BusUnavailable:
        return False
    return bool(orjson.loads(reply.data)["ready"])


async def _start(launching: Launching, name: str, module: list[str]) -> asyncio.subprocess.Process:
    """Its standard error goes to a file in the folder."""
    with (launching.folder / f"{name}.log").open("wb") as log:
        return await asyncio.create_subprocess_exec(
            *launching.command(name, module),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=dict(launching.environment),
            limit=2**26,
        )
