"""Workers come and go; the router and the other workers need not be told."""

from __future__ import annotations

import asyncio

from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform
from trunkline import Agent
from trunkline.contracts.codec import Event
from trunkline.contracts.messages import Prompt, Task
from trunkline.worker import working

WEATHER = Agent("weather", description="Rain, sun and temperature", examples=["Will it rain tomorrow?"])
TRAINS = Agent("trains", description="Trains and timetables", examples=["When does the train leave?"])


async def test_a_worker_that_joins_gets_the_next_fitting_question(platform: Platform) -> None:
    async with platform.run(TRAINS):
        _, before = await platform.ask("Will it rain tomorrow?")
        assert agent_of(before) == "trains"
        async with working(platform.bus, [WEATHER], platform.model, lambda name: (f"offline:{name}",)):

            async def routed() -> bool:
                return agent_of((await platform.ask("Will it rain tomorrow?"))[1]) == "weather"

            await wait_until(routed, "the new agent's first question", seconds=10)


async def test_a_worker_that_leaves_gets_no_more(platform: Platform) -> None:
    async with platform.run(TRAINS):
        async with platform.run(WEATHER):
            _, during = await platform.ask("Will it rain tomorrow?")
        await wait_until(lambda: "weather" not in platform.routes.agents(), "the router lets go of it", seconds=10)
        _, after = await platform.ask("Will it rain tomorrow?")
    assert (agent_of(during), agent_of(after)) == ("weather", "trains")


async def test_two_workers_of_an_agent_share_its_work(platform: Platform) -> None:
    async with platform.run(WEATHER), platform.run(WEATHER):
        found = await asyncio.gather(*(platform.ask(f"Will it rain in {n} days?") for n in range(40)))
    workers = [event.fact.worker for _, events in found for event in events if isinstance(event.fact, Prompt)]
    assert len(workers) == 40
    assert len(set(workers)) == 2
    assert min(workers.count(worker) for worker in set(workers)) >= 5


async def test_work_of_an_agent_that_is_away_waits_for_it(platform: Platform) -> None:
    """Its heartbeat has stopped without a farewell: most likely it is being restarted, so nothing is refused."""
    async with platform.run(WEATHER):
        card = platform.routes.agents()["weather"]
    await platform.announce(card)
    asking = asyncio.create_task(platform.ask("Will it rain tomorrow?", agent="weather"))
    async with platform.run(WEATHER):
        answer, _ = await asking
    assert "(offline model)" in answer


def agent_of(events: list[Event]) -> str:
    return next(event.subject.name for event in events if isinstance(event.fact, Task))
