"""A tool service that is told to stop finishes what it can, and leaves the rest to others: nothing is half recorded."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from tests.conftest import wait_until
from tests.integration.tools.calls import OneCall, effects
from tests.platform import Platform
from trunkline.bus import Bus, LeaseLoop
from trunkline.bus.lease import all_running
from trunkline.bus.registry import TOOLS
from trunkline.bus.roster import cards_now
from trunkline.contracts.messages import Result
from trunkline.contracts.registry import ToolCard

FILE = Path(__file__).with_name("charging.py")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Callable[[float], Any]]:
    """Start a tool service that drains for so many seconds."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(drain: float) -> tuple[Platform, Bus]:
            env = {"TRUNKLINE_ACK_WAIT": "1", "TRUNKLINE_DRAIN": str(drain)}
            platform = Platform(tmp_path, FILE, services=("tools",), env=env)
            stack.push_async_callback(platform.stop)
            await platform.start()
            return platform, await stack.enter_async_context(Bus.open(platform.url))

        yield start


async def under_way(*calls: OneCall) -> None:
    for call in calls:
        await call.issue()
        await wait_until(Path(f"{call.arguments['gate']}.reached").exists, f"{call.tool} is under way")


async def gone(platform: Platform) -> None:
    await wait_until(lambda: not platform.alive("tools"), "the service has left", seconds=60)


@pytest.mark.timeout(240)
async def test_a_call_under_way_is_finished(service: Callable[[float], Any], tmp_path: Path) -> None:
    platform, bus = await service(30)
    reading = OneCall(bus, "linger", {"gate": str(tmp_path / "gate")})
    await under_way(reading)
    os.kill(platform.pid("tools"), signal.SIGTERM)

    async def offers_nothing() -> bool:
        return await cards_now(bus, TOOLS, ToolCard) == []

    await wait_until(offers_nothing, "the service is leaving")
    (tmp_path / "gate").touch()
    assert (await reading.result()).value == "waited"
    await gone(platform)
    assert len(await reading.of(Result)) == 1


@pytest.mark.timeout(240)
async def test_what_does_not_finish_is_left_to_others(service: Callable[[float], Any], tmp_path: Path) -> None:
    platform, bus = await service(0.2)
    gates, book = (tmp_path / "one", tmp_path / "two"), tmp_path / "book"
    reading = OneCall(bus, "linger", {"gate": str(gates[0])})
    writing = OneCall(bus, "charge", {"book": str(book), "gate": str(gates[1])})
    await under_way(reading, writing)
    os.kill(platform.pid("tools"), signal.SIGTERM)
    await gone(platform)
    assert await reading.of(Result) + await writing.of(Result) == []
    for gate in gates:
        gate.touch()
    await platform.restart("tools")
    assert (await reading.result()).value == "waited"
    assert (await writing.asked()).reason == "in_doubt"
    assert len(effects(book)) == 1


class _Loop:
    """Leaves only when all are leaving."""

    def __init__(self, leaving: asyncio.Barrier) -> None:
        self._leaving = leaving

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield
        await self._leaving.wait()


async def test_all_tools_drain_side_by_side() -> None:
    leaving = asyncio.Barrier(3)
    async with asyncio.timeout(30), all_running([cast("LeaseLoop", _Loop(leaving)) for _ in range(3)]):
        pass
