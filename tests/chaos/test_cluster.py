"""Three servers, three copies: a server that leads dies under load, and nothing that was acknowledged is lost."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.asking import Asking, answers
from tests.chaos.checker import World, check
from tests.chaos.log import read_log
from tests.cluster import SIZE, Cluster
from tests.conftest import wait_until
from tests.platform import Platform
from trunkline.bus import Bus, provision
from trunkline.contracts.errors import BusUnavailable
from trunkline.host.server import EmbeddedServer, free_port

SUMS = Path(__file__).parent / "sums.py"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path / "cluster").running() as running:
        yield running


@pytest.mark.timeout(240)
async def test_the_leader_of_the_log_dies_under_load(cluster: Cluster, tmp_path: Path) -> None:
    platform = Platform(tmp_path, SUMS, url=cluster.url, env={"TRUNKLINE_ACK_WAIT": "4"})
    asking = Asking()
    async with contextlib.AsyncExitStack() as stack:
        bus, *buses = [await stack.enter_async_context(Bus.open(cluster.url)) for _ in range(1 + SIZE)]
        stack.push_async_callback(platform.stop)
        await platform.start()
        async with asking.going_on(buses):
            await asking.some_more()
            leader = cluster.nodes[await cluster.leader(bus)]
            await leader.kill()
            before = await answers_known(bus)
            await wait_until(lambda: more_answers(bus, before), "runs that go on", seconds=60)
            await leader.start()
            await asking.some_more()
        await asking.until_answered(bus)
        assert asking.refused == []
        assert check(await read_log(bus), World(acked=frozenset(asking.acked))) == []


async def answers_known(bus: Bus) -> int:
    """How many answers there were, as soon as somebody can say."""
    found = 0

    async def said() -> bool:
        nonlocal found
        found = await answers(bus)
        return found > 0

    await wait_until(said, "a leader that knows the log", seconds=60)
    return found


async def more_answers(bus: Bus, than: int) -> bool:
    return await answers(bus) > than


async def test_a_service_that_provisions_leaves_three_copies_as_they_are(cluster: Cluster) -> None:
    async with Bus.open(cluster.url) as bus:
        await bus.api("STREAM.DELETE.OPS")
        done = await provision(bus)
        assert (done.created, done.differing) == (["OPS"], {})
        assert (await bus.api("STREAM.INFO.OPS"))["config"]["num_replicas"] == SIZE


async def test_whichever_of_several_servers_is_there_is_taken(server: EmbeddedServer) -> None:
    away = f"nats://127.0.0.1:{free_port()}"
    for url in (f"{away},{server.url}", f" {server.url} , {away} "):
        async with Bus.open(url) as bus:
            await bus.check_jetstream()
            assert bus.url == url


async def test_of_several_servers_that_are_all_away_each_is_named() -> None:
    url = ",".join(f"nats://127.0.0.1:{free_port()}" for _ in range(2))
    with pytest.raises(BusUnavailable, match=f"No bus at {url}"):
        async with Bus.open(url, wait=1.0):
            pass
