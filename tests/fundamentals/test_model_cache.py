"""At temperature 0 the very same words are paid once: who asks them again, or at the same time, gets the same reply."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform
from trunkline import Agent, Client, Run
from trunkline.bus import append, fold
from trunkline.contracts.codec import Event
from trunkline.contracts.dialog import ModelQuery, ModelReply, Usage
from trunkline.contracts.errors import ModelFailed
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Model, Prompt, Request
from trunkline.contracts.subjects import ROUTER, RunKey
from trunkline.prices import PriceBook
from trunkline.run.replay import replay
from trunkline.worker import WorkerSettings, working

PRICES = """
[prices."house:m"]
input_per_million = 1
output_per_million = 2
"""
TOOLS = """
from trunkline import tool

@tool
def outside(text: str) -> str:
    "What somebody wrote."
    return text

@tool(cacheable=True)
def steady(text: str) -> str:
    "What does not change."
    return text
"""


@pytest.fixture
def tool_file(tmp_path: Path) -> Path:
    path = tmp_path / "tools.py"
    path.write_text(TOOLS)
    return path


@dataclass
class Paid:
    """Says how often it was asked, once it is `free` to."""

    asked: list[ModelQuery] = field(default_factory=list)
    free: asyncio.Event = field(default_factory=asyncio.Event)
    failing: bool = False
    finish: str = "stop"

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        self.asked.append(query)
        number = len(self.asked)
        await self.free.wait()
        if self.failing:
            raise ModelFailed("It is away.", retryable=False, spent=False)
        on_text(f"answer {number}")
        usage = Usage(input_tokens=1000, output_tokens=100)
        return ModelReply(model=query.model, text=f"answer {number}", usage=usage, finish=self.finish)

    async def close(self) -> None:
        """There is nothing to close."""


@dataclass
class House:
    platform: Platform
    model: Paid
    prices: PriceBook

    @contextlib.asynccontextmanager
    async def runs(self, agent: Agent, where: str = "memory") -> AsyncIterator[None]:
        settings = WorkerSettings(model_cache=where)
        resolve = lambda _: ("house:m",)  # noqa: E731  # one model for every name
        bus = self.platform.bus
        async with working(bus, [agent], self.model, resolve, prices=self.prices, settings=settings):
            await wait_until(lambda: agent.name in self.platform.routes.agents(), "the router knows the agent")
            yield

    async def ask(self, text: str, user: str = "ann") -> tuple[str, list[Event]]:
        """Whatever the router might have kept."""
        asking = replace(self.platform, client=Client(self.platform.bus, user=user))
        return await asking.ask(text, agent="exact", fresh=True)

    async def asked(self, text: str) -> RunKey:
        """A question that nobody watches."""
        key = RunKey.checked(new_run_id(), new_conversation_id())
        request = Request(text=text, user="ann", agent="exact", first=True, fresh=True)
        await append(self.platform.bus, key.step("request", ROUTER), request)
        return key


@pytest.fixture
def house(platform: Platform, tmp_path: Path) -> House:
    config = tmp_path / "trunkline.toml"
    config.write_text(PRICES)
    model = Paid()
    model.free.set()
    return House(platform, model, PriceBook.load(config))


def exact(**options: object) -> Agent:
    return Agent("exact", **{"model": "m", "temperature": 0, **options})  # type: ignore[arg-type]  # as a user writes


def fact(events: list[Event]) -> Model:
    return [event.fact for event in events if isinstance(event.fact, Model)][-1]


async def test_the_same_words_are_paid_once(house: House) -> None:
    """The second run says from where it has its reply, that it cost nothing, and what that saved."""
    async with house.runs(exact()):
        first, paid = await house.ask("what is a parcel?")
        second, served = await house.ask("what is a parcel?")
        third, _ = await house.ask("what is a packet?")
    assert (first, second, third) == ("answer 1", "answer 1", "answer 2")
    assert (fact(paid).source, fact(paid).cost) == ("", "0.0012")
    hit = fact(served)
    assert (hit.source, hit.cost, hit.saved, hit.usage) == ("cache", "0", "0.0012", Usage())
    assert [event.fact.reserved for event in served if isinstance(event.fact, Prompt)] == ["0"]
    key = RunKey.of(served[0].subject)
    found = await replay(exact(), key, await fold(house.platform.bus, key.everything, *key.around))
    assert (found.divergence, found.complete) == (None, True)


@pytest.mark.parametrize("options", [{"temperature": None}, {"temperature": 0.1}, {"reuse": "off"}])
async def test_without_leave_each_is_paid(house: House, options: dict[str, object]) -> None:
    async with house.runs(exact(**options)):
        answers = [(await house.ask("hello?"))[0] for _ in range(2)]
    assert answers == ["answer 1", "answer 2"]


async def test_nobody_gets_what_was_said_to_somebody_else(house: House) -> None:
    """Not even those without a name, who may be anybody."""
    async with house.runs(exact()):
        answers = [(await house.ask("hello?", user=user))[0] for user in ("ann", "bob", "", "", "ann")]
    assert answers == ["answer 1", "answer 2", "answer 3", "answer 4", "answer 1"]


async def test_what_is_nobodys_own_is_for_everybody(house: House) -> None:
    async with house.runs(exact(reuse="shared")):
        answers = [(await house.ask("hello?", user=user))[0] for user in ("ann", "bob", "")]
    assert answers == ["answer 1"] * 3


async def test_many_at_once_pay_once(house: House) -> None:
    house.model.free.clear()
    async with house.runs(exact()):
        asking = [asyncio.create_task(house.ask("now!")) for _ in range(12)]
        await wait_until(lambda: bool(house.model.asked), "the model is asked")
        house.model.free.set()
        answers = await asyncio.gather(*asking)
    assert {text for text, _ in answers} == {"answer 1"}
    assert len(house.model.asked) == 1
    assert sum(fact(events).source == "cache" for _, events in answers) == 11


async def test_a_failure_is_nobody_elses(house: House) -> None:
    """Who waited for it asks himself; and the next one does."""
    house.model.failing = True
    house.model.free.clear()
    async with house.runs(exact()):
        asking = [asyncio.create_task(house.ask("now!")) for _ in range(3)]
        await wait_until(lambda: bool(house.model.asked), "the model is asked")
        house.model.free.set()
        answers = await asyncio.gather(*asking)
        assert {text for text, _ in answers} == {"model_failed: It is away."}
        assert len(house.model.asked) == 3
        house.model.failing = False
        assert (await house.ask("now!"))[0] == "answer 4"


async def test_a_reply_that_was_cut_off_is_not_kept(house: House) -> None:
    house.model.finish = "length"
    async with house.runs(exact()):
        answers = [(await house.ask("hello?"))[0] for _ in range(2)]
    assert answers == ["answer 1", "answer 2"]


@pytest.mark.parametrize(("tool", "paid"), [("outside", 2), ("steady", 1)])
async def test_what_came_from_outside_taints_the_run(house: House, tool: str, paid: int) -> None:
    """Behind a tool that is not declared cacheable, the very same prompt is paid again."""
    agent = exact(tools=[tool])

    @agent.flow
    async def handle(run: Run) -> str:
        await run.call(tool, text="the same each time")
        return (await run.model("always this")).text

    async with house.runs(agent):
        for _ in range(2):
            await house.ask("go")
    assert len(house.model.asked) == paid


async def test_replicas_share_what_is_kept_on_the_bus(house: House) -> None:
    answers: list[str] = []
    for _ in range(2):
        async with house.runs(exact(), where="bus"):
            answers.append((await house.ask("hello?"))[0])
    assert answers == ["answer 1", "answer 1"]


async def test_a_cancelled_run_takes_nobody_along(house: House) -> None:
    """It was the one that asked; those that waited for it ask anew."""
    house.model.free.clear()
    async with house.runs(exact()):
        first = await house.asked("now!")
        await wait_until(lambda: bool(house.model.asked), "the model is asked")
        second = await house.asked("now!")
        await house.platform.until(second, "task")
        await house.platform.client.cancel(first.run, conversation=first.conversation)
        ended = await house.platform.answer(first)
        house.model.free.set()
        answer = await house.platform.answer(second)
    assert ended.error is not None
    assert ended.error.code == "cancelled"
    assert answer.text.startswith("answer ")
