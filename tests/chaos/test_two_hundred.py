"""Two hundred requests at once over two agents with tools; and the same with one process killed in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.checker import World, check
from tests.chaos.log import ledger_events, read_log
from tests.conftest import wait_until
from tests.platform import Platform
from trunkline import Client
from trunkline.bus import Bus
from trunkline.client.query import query

REQUESTS = 200
SUMS = Path(__file__).parent / "sums.py"


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    started = Platform(tmp_path, SUMS, env={"TRUNKLINE_ACK_WAIT": "4"})
    await started.start()
    try:
        yield started
    finally:
        await started.stop()


def question(number: int) -> tuple[str, int]:
    """What is asked, and the number that the answer must hold."""
    if number % 2:
        return f"Add {number} and 1000", number + 1000
    return f"Double {number}", 2 * number


async def ask_all(client: Client, answered: list[str]) -> dict[str, str]:
    """What each run was answered."""

    async def ask(number: int) -> tuple[str, str]:
        text, expected = question(number)
        reply = await client.ask(text, timeout=150)
        answered.append(reply.text)
        assert str(expected) in reply.text.replace(",", ""), f"{text!r} was answered with {reply.text!r}"
        return reply.run, reply.text

    return dict(await asyncio.gather(*(ask(number) for number in range(1, REQUESTS + 1))))


@pytest.mark.timeout(240)
async def test_all_are_answered_rightly_and_the_ledger_has_every_event(platform: Platform) -> None:
    async with Client.connect(platform.url) as client:
        told = await ask_all(client, [])
        await check_log(client.bus, told)
        assert await runs_in_ledger(client.bus) == set(told)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("victim", ["router", "agents", "tools", "ledger", "bus"])
async def test_killing_one_in_the_middle_loses_nothing_and_repeats_nothing(platform: Platform, victim: str) -> None:
    answered: list[str] = []
    async with Client.connect(platform.url) as client:
        asking = asyncio.create_task(ask_all(client, answered))
        await wait_until(lambda: len(answered) > REQUESTS // 5 or asking.done(), "a fifth of the answers", seconds=60)
        assert len(answered) < REQUESTS, "the kill came too late to prove anything"
        if victim == "bus":
            await platform.server.stop(kill=True)
            await platform.server.start()
        else:
            await platform.kill(victim)
            await platform.restart(victim)
        told = await asking
        await platform.ready("ledger")
        await check_log(client.bus, told)
        assert await runs_in_ledger(client.bus) == set(told)


async def check_log(bus: Bus, told: dict[str, str]) -> None:
    """Every law, and the ledger against the log one by one: place, name, time and body."""
    log = await read_log(bus)
    assert {event.subject.run for event in log.events} == set(told)
    assert log.unreadable == 0
    world = World(acked=frozenset(told), told=told, ledger=await ledger_events(bus))
    assert check(log, world) == []


async def runs_in_ledger(bus: Bus) -> set[str]:
    return {run["run"] for run in await query(bus, "ledger", "runs", limit=1000)}
