"""Two hundred requests at once over two agents with tools; and the same with one process killed in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import orjson
import pytest

from tests.chaos.log_checks import answers_per_run, events_of, paid_again, unexplained_prompts, whole_log
from tests.conftest import wait_until
from tests.platform import Platform
from trunkline import Client
from trunkline.bus import Bus
from trunkline.client.query import query
from trunkline.contracts.subjects import CLIENT

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


async def ask_all(client: Client, answered: list[str]) -> list[str]:
    async def ask(number: int) -> str:
        text, expected = question(number)
        reply = await client.ask(text, timeout=50)
        answered.append(reply.text)
        assert str(expected) in reply.text.replace(",", ""), f"{text!r} was answered with {reply.text!r}"
        return reply.run

    return list(await asyncio.gather(*(ask(number) for number in range(1, REQUESTS + 1))))


@pytest.mark.timeout(120)
async def test_all_are_answered_rightly_and_the_ledger_has_every_event(platform: Platform) -> None:
    async with Client.connect(platform.url) as client:
        runs = await ask_all(client, [])
        await check_log(client.bus, runs)
        assert await runs_in_ledger(client.bus) == set(runs)
        await check_ledger_equals_stream(client.bus)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("victim", ["router", "agents", "tools", "ledger", "bus"])
async def test_killing_one_in_the_middle_loses_nothing_and_repeats_nothing(platform: Platform, victim: str) -> None:
    answered: list[str] = []
    async with Client.connect(platform.url) as client:
        asking = asyncio.create_task(ask_all(client, answered))
        await wait_until(lambda: len(answered) > REQUESTS // 5 or asking.done(), "a fifth of the answers", seconds=40)
        assert len(answered) < REQUESTS, "the kill came too late to prove anything"
        if victim == "bus":
            await platform.server.stop(kill=True)
            await platform.server.start()
        else:
            await platform.kill(victim)
            await platform.restart(victim)
        runs = await asking
        await platform.ready("ledger")
        await check_log(client.bus, runs)
        assert await runs_in_ledger(client.bus) == set(runs)
        await check_ledger_equals_stream(client.bus)


async def check_log(bus: Bus, runs: list[str]) -> None:
    events = await events_of(bus, await whole_log(bus))
    assert answers_per_run(events) == dict.fromkeys(runs, 1)
    assert all(event.subject.name == CLIENT for event in events if event.subject.kind == "answer")
    assert paid_again(events) == []
    assert unexplained_prompts(events) <= 0


async def runs_in_ledger(bus: Bus) -> set[str]:
    return {run["run"] for run in await query(bus, "ledger", "runs", limit=1000)}


async def check_ledger_equals_stream(bus: Bus) -> None:
    """One by one: place, name, time and body."""
    stored = await whole_log(bus)
    kept: list[dict[str, object]] = []
    while len(kept) < len(stored):
        page = await query(bus, "ledger", "events", after=kept[-1]["sequence"] if kept else 0, limit=500)
        assert page, f"the ledger ends at {len(kept)} of {len(stored)} events"
        kept += page
    expected = [(message.sequence, message.subject, message.at, orjson.loads(message.data)) for message in stored]
    assert [(row["sequence"], row["subject"], at(row), row["body"]) for row in kept] == expected


def at(row: dict[str, object]) -> datetime:
    return datetime.fromisoformat(str(row["at"]))
