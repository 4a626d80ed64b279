"""What is too much is refused clearly and at once, and says when another try is worth it."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform, routed
from trunkline import Agent, Run
from trunkline.bus import Bus, fold
from trunkline.contracts.errors import RunFailed
from trunkline.contracts.messages import Answer
from trunkline.contracts.subjects import filter_of
from trunkline.worker import WorkerSettings


class Stuck:
    """An agent that answers `quick` at once, and everything else when it is told to."""

    def __init__(self, name: str = "stuck") -> None:
        self.agent = Agent(name)
        self.go_on = asyncio.Event()

        @self.agent.flow
        async def handle(run: Run) -> str:
            if run.text != "quick":
                await self.go_on.wait()
            return run.text


async def fill(platform: Platform, agent: str, count: int) -> None:
    """Have an agent hold so many runs."""
    keys = [await platform.asked("slow", agent=agent) for _ in range(count)]
    for key in keys:
        await platform.until(key, "task")


async def test_an_agent_that_has_enough_takes_no_more(bus: Bus) -> None:
    stuck = Stuck()
    async with routed(bus, router_agent_limit=2) as platform, platform.run(stuck.agent):
        await fill(platform, "stuck", 2)
        with pytest.raises(RunFailed, match="Agent stuck has 2 unfinished runs, and takes no more") as refused:
            await platform.client.ask("one too many")
        assert refused.value.hint == "Try again in a moment."
        assert refused.value.data["code"] == "busy"
        assert "retry_after" not in refused.value.data
        stuck.go_on.set()
        assert await until_let_in(platform) == "quick"


async def test_it_says_when_to_try_again_by_what_it_has_measured(bus: Bus) -> None:
    stuck = Stuck()
    async with routed(bus, router_agent_limit=2) as platform, platform.run(stuck.agent):
        for _ in range(3):
            assert await until_let_in(platform) == "quick"
        await fill(platform, "stuck", 2)
        with pytest.raises(RunFailed) as refused:
            await platform.client.ask("one too many")
        seconds = refused.value.data["retry_after"]
        assert isinstance(seconds, int)
        assert f"Try again in about {seconds} s" in refused.value.hint
        assert 0 < seconds <= 30
        stuck.go_on.set()


async def test_all_agents_together_have_a_limit_too(bus: Bus) -> None:
    one, two = Stuck("one"), Stuck("two")
    async with routed(bus, router_limit=2) as platform, platform.run(one.agent, two.agent):
        await fill(platform, "one", 1)
        await fill(platform, "two", 1)
        with pytest.raises(RunFailed, match="The platform has 2 unfinished runs"):
            await platform.client.ask("one too many", agent="one")
        one.go_on.set()
        two.go_on.set()


async def test_a_burst_ends_in_answers_and_clear_refusals(bus: Bus) -> None:
    """Nothing is lost, and what was let in at a time never exceeds the limit."""
    stuck = Stuck()
    async with (
        routed(bus, router_agent_limit=20) as platform,
        platform.run(stuck.agent, settings=WorkerSettings(slots=64)),
    ):
        keys = await asyncio.gather(*(platform.asked("burst") for _ in range(300)))

        async def refused() -> bool:
            return len(await fold(bus, filter_of(kind="answer"))) == len(keys) - 20

        await wait_until(refused, "all but twenty to be refused", seconds=60)
        stuck.go_on.set()
        answers = [await platform.answer(key) for key in keys]
    assert sum(answer.text == "burst" for answer in answers) == 20
    assert {answer.error.code for answer in answers if answer.error} == {"busy"}


async def until_let_in(platform: Platform) -> str:
    """The answer of a quick question, asked until it is taken."""
    answer: list[Answer] = []

    async def answered() -> bool:
        answer[:] = [await platform.answer(await platform.asked("quick"))]
        return answer[0].error is None

    await wait_until(answered, "a question to be let in")
    return answer[0].text
