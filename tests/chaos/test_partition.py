"""Whoever is cut off, and comes back as if nothing had been: others have gone on, and it repeats nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests import netns
from tests.chaos import clerk
from tests.chaos.asking import Asking
from tests.chaos.checker import World, check
from tests.chaos.far_agents import NAMESPACE
from tests.chaos.log import read_log
from tests.chaos.metered_agents import FOLDER, MODEL_SECONDS
from tests.conftest import wait_until
from tests.nats_server import NatsServer
from tests.platform import Platform
from trunkline import Client

SUMS = Path(__file__).parent / "sums.py"
FROZEN_SECONDS = 15.0


@pytest.fixture
def wire() -> Iterator[netns.Wire]:
    try:
        with netns.laid() as laid:
            yield laid
    except netns.NoNamespaces as error:
        pytest.skip(f"no network of its own can be made here: {error}")


@pytest.fixture
async def server(wire: netns.Wire, tmp_path: Path) -> AsyncIterator[NatsServer]:
    """At the near end of the wire."""
    server = NatsServer(tmp_path / "bus", host=wire.near)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def platform(wire: netns.Wire, server: NatsServer, tmp_path: Path) -> AsyncIterator[Platform]:
    """Its agents are beyond the wire; everything else is here."""
    file = tmp_path / "clerk.py"
    shutil.copy(clerk.__file__, file)
    started = Platform(
        tmp_path,
        file,
        url=server.url,
        env={FOLDER: str(tmp_path), MODEL_SECONDS: "0.5", NAMESPACE: wire.namespace, "TRUNKLINE_ACK_WAIT": "2"},
        modules={"agents": "tests.chaos.far_agents"},
    )
    try:
        await started.start()
        yield started
    finally:
        wire.mend()
        await started.stop()


@pytest.mark.timeout(180)
async def test_a_worker_that_is_cut_off_is_taken_over_from_and_comes_back(
    wire: netns.Wire, platform: Platform, tmp_path: Path
) -> None:
    far = platform.pid("agents")
    async with Client.connect(platform.url) as client:
        asking = asyncio.create_task(client.ask("Work on 7", agent="clerk", timeout=90))
        await wait_until(lambda: len(paid_by(tmp_path, far)) > 1, "the far worker's second model call", seconds=60)
        wire.cut()
        await platform.restart("agents-2", env={NAMESPACE: ""})
        reply = await asking
        assert reply.text.split() == clerk.expected(7)
        assert len(paid_by(tmp_path, platform.pid("agents-2"))) > 1, "it was not taken over"

        spent = paid_by(tmp_path, far)
        wire.mend()
        await platform.kill("agents-2")
        again = await client.ask("Work on 12", agent="clerk", timeout=90)
        assert again.text.split() == clerk.expected(12)
        assert set(paid_by(tmp_path, far)[len(spent) :]) == {again.run}
        world = World(acked=frozenset({reply.run, again.run}), paid=paid(tmp_path))
        assert check(await read_log(client.bus), world) == []


@pytest.mark.timeout(240)
async def test_a_bus_that_stands_still_loses_nothing(tmp_path: Path) -> None:
    platform = Platform(tmp_path, SUMS, env={"TRUNKLINE_ACK_WAIT": "4"})
    asking = Asking()
    try:
        await platform.start()
        async with Client.connect(platform.url) as client:
            async with asking.going_on([client.bus]):
                await asking.some_more()
                os.kill(platform.server.pid, signal.SIGSTOP)
                await asyncio.sleep(FROZEN_SECONDS)
                os.kill(platform.server.pid, signal.SIGCONT)
                await asking.some_more()
            await asking.until_answered(client.bus)
            assert asking.refused == []
            assert check(await read_log(client.bus), World(acked=frozenset(asking.acked))) == []
    finally:
        if platform.server.alive():
            os.kill(platform.server.pid, signal.SIGCONT)
        await platform.stop()


def paid_by(folder: Path, process: int) -> list[str]:
    """The runs for which that process has paid a model, call by call."""
    return [run for run, _step, by in lines(folder) if by == str(process)]


def paid(folder: Path) -> dict[str, Counter[str]]:
    """Model calls by run and step."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for run, step, _by in lines(folder):
        found[run][step] += 1
    return found


def lines(folder: Path) -> list[list[str]]:
    file = folder / "paid"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []
