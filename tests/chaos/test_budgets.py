"""Law 9 when everybody asks at once and workers are killed: nothing is ever spent that a budget does not allow.

A token costs $0.001, so a call may cost $0.10.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from tests.budget_law import of_log, overspent
from tests.chaos.log import events_of, read_log
from tests.chaos.paid_agents import BOOKS, SECONDS
from tests.conftest import wait_until
from tests.platform import Platform
from trunkline.budget.counters import count_of
from trunkline.budget.refunds import Refunds
from trunkline.bus import Bus, append, follow
from trunkline.contracts.codec import Event
from trunkline.contracts.ids import ConversationId, new_run_id
from trunkline.contracts.messages import Answer, Fact, Prompt, Request
from trunkline.contracts.subjects import BUDGET, ROUTER, TRUNK, RunKey, filter_of
from trunkline.prices import Money

REQUESTS = 500
WORKERS = [f"agents-{number}" for number in range(1, 11)]
PAYERS = Path(__file__).with_name("payers.py")
CONFIG = """
[models]
retries = 1

[prices."offline:small"]
input_per_million = "0"
output_per_million = "1000"

[budgets]
run = "none"
conversation = "none"
user_day = "none"
tenant_day = "none"
tenant_month = "none"
"""
PICO = 10**9
"""A token's price."""


class Crowd:
    """A platform with ten workers, and what was paid in it."""

    def __init__(self, folder: Path, **dollars: str) -> None:
        self.limits = {kind.replace("_", "-"): Money.parse(amount) for kind, amount in dollars.items()}
        self._books = folder / "books"
        self._books.touch()
        config = folder / "trunkline.toml"
        config.write_text(CONFIG)
        env = {f"TRUNKLINE_BUDGETS_{kind.upper()}": amount for kind, amount in dollars.items()}
        env |= {"TRUNKLINE_CONFIG": str(config), "TRUNKLINE_GENERALIST": "false", "TRUNKLINE_ACK_WAIT": "2"}
        env |= {BOOKS: str(self._books), SECONDS: "0.4"}
        modules = {"agents": "tests.chaos.paid_agents"}
        self.platform = Platform(folder, PAYERS, services=["router", *WORKERS], env=env, modules=modules)

    @property
    def paid(self) -> list[int]:
        """The tokens of each call that was really paid, also where nobody lived to record it."""
        return [int(line.split()[0]) for line in self._books.read_text().splitlines()]

    async def killed(self, *workers: str, after: int) -> None:
        """Once so many calls were paid."""
        await wait_until(lambda: len(self.paid) >= after, f"{after} calls are paid", seconds=60)
        for worker in workers:
            await self.platform.kill(worker)

    def of_counters(self, events: tuple[Event, ...]) -> Mapping[str, Money]:
        """The limit of each counter that a prompt names."""
        named = {counter for event in events if isinstance(event.fact, Prompt) for counter in event.fact.limits}
        return {counter: self.limits[counter.split(".")[2]] for counter in named}


@pytest.fixture
async def crowd(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Crowd]:
    crowd = Crowd(tmp_path, **request.param)
    try:
        await crowd.platform.start()
        yield crowd
    finally:
        await crowd.platform.stop()


async def ask(bus: Bus, requests: list[Request], conversations: int) -> None:
    """All at once."""

    async def publish(number: int, request: Request) -> None:
        conversation = ConversationId(f"c-{number % conversations}")
        await append(bus, RunKey("main", conversation, new_run_id()).step("request", ROUTER), request)

    await asyncio.gather(*(publish(number, request) for number, request in enumerate(requests)))


async def answers(bus: Bus) -> Counter[str]:
    """How all runs ended, once they have: by the failure's code, empty for a text."""
    found: list[Fact] = []
    async with asyncio.timeout(60):
        async for batch in follow(bus, TRUNK, filters=[filter_of(kind="answer")]):
            found += [event.fact for event in await events_of(bus, batch)]
            if len(found) == REQUESTS:
                break
    return Counter(fact.error.code if isinstance(fact, Answer) and fact.error else "" for fact in found)


async def counters(bus: Bus) -> Counter[str]:
    """What each counter stands at, in picodollars; those at zero are left out."""
    found: Counter[str] = Counter()
    async for batch in follow(bus, BUDGET, latest=True):
        found.update({message.subject: count_of(message).pico for message in batch})
        if not batch:
            return +found
    raise AssertionError("following never ends by itself")


async def refunded(bus: Bus, events: tuple[Event, ...]) -> None:
    """Until every counter says what the log says. Nobody pays any more, so nobody need wait."""
    async with Refunds(bus, grace=0.5).refunding():

        async def as_logged() -> bool:
            return await counters(bus) == +of_log(events)

        await wait_until(as_logged, "each counter says what the log says", seconds=60)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("crowd", [{"tenant_day": "2"}], indirect=True)
async def test_of_five_hundred_at_once_a_budget_for_twenty_pays_twenty(crowd: Crowd) -> None:
    async with Bus.open(crowd.platform.url) as bus:
        killing = asyncio.create_task(crowd.killed(*WORKERS[:4], after=4))
        await ask(bus, [Request(text="100 loaves", agent="baker", first=True)] * REQUESTS, REQUESTS)
        await killing
        ended = await answers(bus)
        events = (await read_log(bus)).events
        assert overspent(events, crowd.of_counters(events)) == []
        assert 4 <= len(crowd.paid) <= 20
        assert ended.keys() <= {"", "over_budget"}
        assert ended[""] <= len(crowd.paid)
        await refunded(bus, events)


FIVE = {"run": "0.15", "conversation": "0.35", "user_day": "1.5", "agent_day": "2.2", "tenant_day": "4"}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("crowd", [FIVE], indirect=True)
async def test_and_with_five_limits_none_is_ever_passed(crowd: Crowd) -> None:
    draw = random.Random(9)
    requests = [
        Request(
            text=f"{draw.randint(5, 100)} eggs",
            user=draw.choice(["ann", "bob", "cleo", "dan"]),
            agent=draw.choice(["cook", "baker"]),
            first=True,
        )
        for _ in range(REQUESTS)
    ]
    async with Bus.open(crowd.platform.url) as bus:
        killing = asyncio.create_task(crowd.killed(*WORKERS[3:7], after=8))
        await ask(bus, requests, 40)
        await killing
        ended = await answers(bus)
        events = (await read_log(bus)).events
        assert overspent(events, crowd.of_counters(events)) == []
        assert sum(crowd.paid) * PICO <= crowd.limits["tenant-day"].pico
        assert ended.keys() <= {"", "over_budget"}
        assert ended[""] >= 10
        await refunded(bus, events)
