"""Real parts for every test: a nats-server on a free port in a folder of its own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import settings

from trunkline.bus import Bus, provision
from trunkline.host.server import EmbeddedServer, free_port

pytest_plugins = ["tests.hung"]
settings.register_profile("untimed", deadline=None)  # how long an example takes says nothing on a busy machine
settings.load_profile("untimed")


def pytest_configure() -> None:
    """Ctrl-C reaches what tests start, also when a shell began the run in the background, where it is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """Two for each processor: for about as long as it computes, a test waits for a process, or for time to pass."""
    return 2 * len(os.sched_getaffinity(0))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """A bus of the test's own."""
    async with EmbeddedServer(tmp_path / "bus", free_port()).running() as running:
        yield running


@pytest.fixture
async def bus(server: EmbeddedServer) -> AsyncIterator[Bus]:
    """A connection to a bus with all streams."""
    async with Bus.open(server.url, name="test") as opened:
        await provision(opened)
        yield opened


async def wait_until(
    predicate: Callable[[], bool | Awaitable[bool]], description: str, *, seconds: float = 30.0
) -> None:
    """Until `predicate` holds; a failure says what was waited for."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while loop.time() < deadline:
        held = predicate()
        if held if isinstance(held, bool) else await held:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"waited {seconds:g} s for: {description}")
