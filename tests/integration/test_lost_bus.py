"""An error that the server reports closes a connection for good: that is said, and ends what relies on it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import wait_until
from trunkline.bus import Bus, follow
from trunkline.bus.registry import AGENTS
from trunkline.bus.roster import Roster
from trunkline.bus.stored import StoredMessage
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.registry import AgentCard
from trunkline.contracts.subjects import TRUNK
from trunkline.host.server import EmbeddedServer

SERVICE = """
import contextlib
from trunkline.service import Service, ServiceSettings, serve

@contextlib.asynccontextmanager
async def work(bus):
    await bus.client.publish("x." + "y" * 5000, b"")
    yield

serve(Service("doomed", ServiceSettings(), work))
"""


async def lose(bus: Bus) -> None:
    """The server refuses a control line beyond 4096 bytes, and says so."""
    await bus.client.publish("x." + "y" * 5000, b"")


async def test_a_connection_that_is_closed_for_good_is_known(bus: Bus) -> None:
    await lose(bus)
    await bus.lost.wait()
    with pytest.raises(BusUnavailable):
        await bus.api("INFO", wait=1.0)


async def test_ones_own_closing_loses_nothing(server: EmbeddedServer) -> None:
    async with Bus.open(server.url) as bus:
        pass
    assert not bus.lost.is_set()


async def test_following_a_lost_bus_ends(bus: Bus) -> None:
    at_end = asyncio.Event()

    async def read() -> None:
        async for _ in follow(bus, TRUNK):
            at_end.set()

    reader = asyncio.create_task(read())
    await wait_until(at_end.is_set, "the log is read to its end")
    await lose(bus)
    with pytest.raises(BusUnavailable, match="closed for good"):
        async with asyncio.timeout(10):
            await reader


async def test_a_roster_that_fails_says_so_and_looks_again(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = 0

    async def fail_once(*arguments: object, **options: object) -> AsyncIterator[list[StoredMessage]]:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise ValueError("a surprise")
        async with contextlib.aclosing(follow(*arguments, **options)) as batches:  # type: ignore[arg-type,type-var]
            async for batch in batches:
                yield batch

    monkeypatch.setattr("trunkline.bus.roster.follow", fail_once)
    async with Roster(AgentCard).watching(bus, AGENTS):
        assert looks == 2
    assert "a surprise" in capsys.readouterr().out


async def test_a_service_that_lost_its_bus_ends(tmp_path: Path, server: EmbeddedServer) -> None:
    file = tmp_path / "doomed.py"
    file.write_text(SERVICE)
    env = os.environ | {"NATS_URL": server.url, "TRUNKLINE_LOG_FORMAT": "json", "TRUNKLINE_DATA": str(tmp_path)}
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, str(file)], env=env, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "bus_lost" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
