"""Wherever answers are kept: they are found again, and a store that goes away costs no answer."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.fundamentals.conftest import routed
from tests.fundamentals.test_answer_cache import desk
from tests.redis_server import RedisServer, find_redis
from trunkline import Agent
from trunkline.bus import Bus
from trunkline.bus.bounded import ANSWERS, ANSWERS_BYTES
from trunkline.bus.bucket import Bucket
from trunkline.bus.provision import provision, streams


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    if find_redis() is None or importlib.util.find_spec("redis") is None:
        pytest.skip("needs valkey-server or redis-server, and the Python package redis")
    server = RedisServer(tmp_path)
    await server.start()
    yield server
    server.thaw()
    await server.stop()


@pytest.fixture(params=["bus", "redis"])
def where(request: pytest.FixtureRequest) -> str:
    """As the router's settings say it."""
    return str(request.getfixturevalue("redis").url) if request.param == "redis" else "bus"


async def test_another_router_finds_what_one_has_kept(bus: Bus, where: str) -> None:
    async with routed(bus, router_cache=where) as router, desk(router, Agent("facts")) as at:
        first = await at.ask("Why?")

        async def kept() -> bool:
            return (await at.ask("Why?")).text == first.text

        await wait_until(kept, "the answer is kept")
    async with routed(bus, router_cache=where) as router, desk(router, Agent("facts")) as at:
        assert (await at.ask("Why?")).text == first.text
        assert not at.model.asked


async def test_a_router_without_a_cache_answers_each_anew(bus: Bus) -> None:
    async with routed(bus, router_cache="off") as router, desk(router, Agent("facts")) as at:
        assert [(await at.ask("Why?")).text for _ in range(2)] == ["reply 1", "reply 2"]


@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_a_redis_that_goes_away_costs_no_answer(bus: Bus, redis: RedisServer, how: str) -> None:
    """What it had is lost; what was answered just now may still be known here."""
    async with routed(bus, router_cache=redis.url) as router, desk(router, Agent("facts")) as at:
        first = await at.ask("Why?")
        assert (await at.ask("Why?")).text == first.text
        if how == "frozen":
            redis.freeze()
        else:
            await redis.stop()
        replies = [(await at.ask(f"What is {number}?")).text for number in range(5)]
        assert replies == [f"reply {number}" for number in range(2, 7)]


async def test_the_bucket_is_declared_once_with_the_copies_of_the_log(bus: Bus) -> None:
    """And the router's own way to make it, when it is lost, makes the same one."""
    declared = {config["name"]: config for config in streams(replicas=3)}[f"KV_{ANSWERS}"]
    assert (declared["num_replicas"], declared["max_bytes"]) == (3, ANSWERS_BYTES)
    await Bucket.answers(bus).put("entry.x", b"x", 60)
    assert f"KV_{ANSWERS}" not in (await provision(bus)).differing
