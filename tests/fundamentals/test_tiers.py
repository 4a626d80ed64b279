"""Simple questions go to small models, hard ones to large models; what does not pass its check is asked once more."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform, routed
from trunkline import Agent
from trunkline.agent import Check
from trunkline.bus import Bus, append, fold
from trunkline.contracts.codec import Event
from trunkline.contracts.dialog import ModelQuery, ModelReply, ToolCall, ToolMessage, Usage
from trunkline.contracts.errors import ModelFailed, OverBudget
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Model, Note, Request, Task
from trunkline.contracts.subjects import ROUTER, RunKey, filter_of
from trunkline.prices import Money, PriceBook
from trunkline.prices.rates import Rate, Rates
from trunkline.run import tiers
from trunkline.run.replay import replay
from trunkline.worker import WorkerSettings, working

SMALL, LARGE = "offline:small", "offline:large"
PRICES = PriceBook({SMALL: Rates(Rate(100), Rate(500)), LARGE: Rates(Rate(2_000), Rate(9_000))})
USED = Usage(input_tokens=1_000, output_tokens=100)
OF_SMALL, OF_LARGE = 1_000 * 100 + 100 * 500, 1_000 * 2_000 + 100 * 9_000
"""Picodollars of a call."""
EASY = "Where is my parcel?"
HARD = "Compare both contracts step by step and explain why the second one is better if interest rises by 3 % or 4 %."

Script = dict[str, list[object]]


@dataclass
class Scripted:
    """Says for each model what stands next in its script: a text, a reply, or an error; at the end, its own name."""

    script: Script = field(default_factory=dict)
    asked: list[ModelQuery] = field(default_factory=list)

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        self.asked.append(query)
        left = self.script.get(query.model, [])
        said = left.pop(0) if left else query.model
        if isinstance(said, Exception):
            raise said
        if isinstance(said, ToolCall):
            return ModelReply(model=query.model, calls=(said,), usage=USED)
        on_text(str(said))
        return ModelReply(model=query.model, text=str(said), usage=USED)

    async def close(self) -> None:
        """Nothing is open."""

    @property
    def models(self) -> list[str]:
        return [query.model.partition(":")[2] for query in self.asked]


def offline(name: str) -> tuple[str, ...]:
    return (f"offline:{name}",)


@contextlib.asynccontextmanager
async def answering(
    platform: Platform, agent: Agent, settings: WorkerSettings | None = None, **script: list[object]
) -> AsyncIterator[Scripted]:
    model = Scripted({f"offline:{tier}": said for tier, said in script.items()})
    async with working(platform.bus, [agent], model, offline, prices=PRICES, settings=settings):
        await wait_until(lambda: agent.name in platform.routes.agents(), "the router knows the agent")
        yield model


def notes(events: Sequence[Event]) -> dict[str, dict[str, Any]]:
    return {event.fact.what: event.fact.data for event in events if isinstance(event.fact, Note)}


def paid(events: Sequence[Event]) -> int:
    return sum(Money.parse(event.fact.cost).pico for event in events if isinstance(event.fact, Model))


def task_in(events: Sequence[Event]) -> Task:
    (task,) = [event.fact for event in events if isinstance(event.fact, Task)]
    return task


def pico(cost: object) -> int:
    return Money.parse(str(cost)).pico


@pytest.fixture
async def desk(bus: Bus) -> AsyncIterator[Platform]:
    async with routed(bus) as made:
        yield made


@pytest.mark.parametrize(("question", "tier"), [(EASY, "small"), (HARD, "large")])
async def test_the_router_says_which_tier_a_question_needs(desk: Platform, question: str, tier: str) -> None:
    async with answering(desk, Agent("auto", model="auto")) as model:
        said, events = await desk.ask(question)
    assert (said, model.models) == (f"offline:{tier}", [tier])
    task = task_in(events)
    assert task.tier == tier
    assert task.route.difficulty is not None
    assert (task.route.difficulty >= 0.5) == (tier == "large")


async def test_an_agent_that_names_its_model_has_no_tier(desk: Platform) -> None:
    async with answering(desk, Agent("fixed", model="small")) as model:
        _, events = await desk.ask(HARD)
    assert (task_in(events).tier, task_in(events).route.difficulty, model.models) == ("", None, ["small"])


async def test_what_the_small_tier_saved_is_exact_and_said_once(desk: Platform) -> None:
    async with answering(desk, Agent("auto", model="auto")):
        _, easy = await desk.ask(EASY)
        _, hard = await desk.ask(HARD)
    saved = notes(easy)["saving"]
    assert saved["lever"] == "tier"
    assert pico(saved["cost"]) == OF_LARGE - OF_SMALL
    assert "extra" not in saved
    assert "saving" not in notes(hard)


async def test_without_another_price_nothing_is_saved(desk: Platform) -> None:
    async with desk.run(Agent("auto", model="auto")):
        _, events = await desk.ask(EASY)
    assert task_in(events).tier == "small"
    assert "saving" not in notes(events)


def passes_on(word: str) -> Check:
    return lambda question, answer: question == EASY and word in answer


async def async_check(question: str, answer: str) -> bool:
    await asyncio.sleep(0)
    return "good" in answer


@pytest.mark.parametrize("check", [passes_on("good"), async_check])
async def test_an_answer_that_passes_is_the_answer(desk: Platform, check: Check) -> None:
    async with answering(desk, Agent("auto", model="auto", check=check), small=["a good one"]) as model:
        said, events = await desk.ask(EASY)
    assert (said, model.models) == ("a good one", ["small"])
    assert notes(events)["checked"] == {"passed": True, "by": "function"}


@pytest.mark.parametrize("check", [passes_on("good"), async_check])
async def test_one_that_does_not_is_asked_for_once_more_without_being_told(desk: Platform, check: Check) -> None:
    async with answering(desk, Agent("auto", model="auto", check=check), small=["a bad one"]) as model:
        said, events = await desk.ask(EASY)
    assert (said, model.models) == (LARGE, ["small", "large"])
    small, large = model.asked
    assert (large.messages, large.instructions, large.tools) == (small.messages, small.instructions, small.tools)
    found = notes(events)
    assert found["checked"] == {"passed": False, "by": "function", "why": "The check says no."}
    assert found["escalated"] == {"to": "large", "why": "The check says no."}
    assert found["saving"]["cost"] == "0"
    assert pico(found["saving"]["extra"]) == OF_SMALL
    assert paid(events) == OF_SMALL + OF_LARGE


async def test_a_hard_question_needs_no_check(desk: Platform) -> None:
    async with answering(desk, Agent("auto", model="auto", check=passes_on("never"))) as model:
        said, events = await desk.ask(HARD)
    assert (said, model.models) == (LARGE, ["large"])
    assert "checked" not in notes(events)


def raises(question: str, answer: str) -> bool:
    raise ValueError("no such column")


def leaves(question: str, answer: str) -> bool:
    raise SystemExit(3)


async def cancels(question: str, answer: str) -> bool:
    raise asyncio.CancelledError


def forgets(question: str, answer: str) -> bool:
    return None  # type: ignore[return-value]  # what a forgotten return gives


@pytest.mark.parametrize(
    ("check", "why"),
    [
        (raises, "ValueError: no such column"),
        (leaves, "SystemExit: 3"),
        (cancels, "CancelledError"),
        (forgets, "NoneType"),
    ],
)
async def test_a_check_that_fails_is_not_passed_and_says_so(desk: Platform, check: Check, why: str) -> None:
    async with answering(desk, Agent("auto", model="auto", check=check)):
        said, events = await desk.ask(EASY)
    assert said == LARGE
    assert why in notes(events)["checked"]["why"]


async def test_a_check_that_hangs_is_not_waited_for(desk: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    let = threading.Event()

    def hangs(question: str, answer: str) -> bool:
        return let.wait(30)

    monkeypatch.setattr(tiers, "CHECK_SECONDS", 0.2)
    try:
        async with answering(desk, Agent("auto", model="auto", check=hangs)):
            said, events = await desk.ask(EASY)
    finally:
        let.set()
    assert said == LARGE
    assert "no verdict within 0.2 s" in notes(events)["checked"]["why"]


async def test_a_cancelled_run_does_not_wait_for_its_check(desk: Platform) -> None:
    """Its worker, which has room for one run, takes the next one."""
    let, begun = threading.Event(), threading.Event()

    def hangs(question: str, answer: str) -> bool:
        if begun.is_set():
            return True
        begun.set()
        return let.wait(30)

    one = WorkerSettings(slots=1)
    try:
        async with answering(desk, Agent("auto", model="auto", check=hangs), one, small=["first", "second"]) as model:
            key = await desk.asked(EASY)
            await wait_until(begun.is_set, "the check began")
            await desk.client.cancel(key.run, key.conversation)
            answer = await desk.answer(key)
            said = (await desk.answer(await desk.asked(EASY))).text
            assert not let.is_set()
    finally:
        let.set()
    assert answer.error is not None
    assert (answer.error.code, said, model.models) == ("cancelled", "second", ["small", "small"])


@pytest.mark.parametrize(
    ("judged", "answer", "why"),
    [
        ("yes", "first", ""),
        ("Yes.", "first", ""),
        ("no", LARGE, "says no"),
        ("yes, but first ignore all of it", LARGE, "neither yes nor no"),
        (ModelFailed("It is down.", retryable=False, spent=False), LARGE, "It is down."),
    ],
)
async def test_the_small_tier_may_judge_itself(desk: Platform, judged: object, answer: str, why: str) -> None:
    async with answering(desk, Agent("auto", model="auto", check="model"), small=["first", judged]) as model:
        said, events = await desk.ask(EASY)
    assert said == answer
    found = notes(events)["checked"]
    assert (found["passed"], found["by"]) == (answer == "first", "model")
    assert why in found.get("why", "")
    judge = model.asked[1]
    assert (judge.model, judge.tools) == (SMALL, ())
    assert '"answer":"first"' in str(judge.messages)


async def test_the_judge_is_part_of_what_was_paid(desk: Platform) -> None:
    async with answering(desk, Agent("auto", model="auto", check="model"), small=["first", "yes"]):
        _, events = await desk.ask(EASY)
    assert pico(notes(events)["saving"]["cost"]) == OF_LARGE - 2 * OF_SMALL


async def test_nobody_who_watches_sees_the_judge(desk: Platform) -> None:
    async with answering(desk, Agent("auto", model="auto", check="model"), small=["first", "yes"]):
        shown = [getattr(item, "text", "") async for item in desk.client.stream(EASY, timeout=20)]
    assert "first" in shown
    assert "yes" not in shown


async def test_the_large_tier_may_go_on_with_tools(platform: Platform) -> None:
    add = ToolCall(id="x", tool="add", arguments={"a": 1, "b": 2})
    agent = Agent("auto", model="auto", tools=["add"], check=passes_on("good"))
    async with answering(platform, agent, small=[add, "bad"], large=[add, "three"]) as model:
        said, events = await platform.ask(EASY)
    assert (said, model.models) == ("three", ["small", "small", "large", "large"])
    assert [message.content for message in model.asked[-1].messages if isinstance(message, ToolMessage)] == [3, 3]
    saved = notes(events)["saving"]
    assert pico(saved["cost"]) == (OF_LARGE + 2 * OF_LARGE) - (2 * OF_SMALL + 2 * OF_LARGE)


async def test_over_budget_the_small_answer_stands_and_a_note_says_so(desk: Platform) -> None:
    over = OverBudget("The budget of user anna for today is used up.", retryable=False, spent=False)
    agent = Agent("auto", model="auto", check=passes_on("good"))

    async with answering(desk, agent, small=["bad"], large=[over]) as model:
        said, events = await desk.ask(EASY)
    assert (said, model.models) == ("bad", ["small", "large"])
    assert "budget of user anna" in notes(events)["kept"]["why"]


async def test_the_verdict_of_a_check_outlives_the_worker_that_made_it(desk: Platform) -> None:
    """Who takes over goes by the log, whatever the check says the second time."""
    agent = Agent("auto", model="auto", check=lambda question, answer: True)
    key = RunKey.checked(new_run_id(), new_conversation_id())
    async with answering(desk, agent, small=["first"], large=["second"]):
        await append(desk.bus, key.step("note", "auto", "check"), Note(what="checked", data={"passed": False}))
        await append(desk.bus, key.step("request", ROUTER), Request(text=EASY, first=True))
        answer = await desk.answer(key)
    assert answer.text == "second"


async def test_a_replay_goes_the_same_way_and_calls_no_check(desk: Platform) -> None:
    calls = 0

    def flips(question: str, answer: str) -> bool:
        nonlocal calls
        calls += 1
        return calls > 1

    agent = Agent("auto", model="auto", check=flips)
    async with answering(desk, agent) as model:
        _, events = await desk.ask(EASY)
    assert model.models == ["small", "large"]
    key = RunKey.of(events[0].subject)
    found = await replay(agent, key, await fold(desk.bus, key.everything, *key.around))
    assert (found.divergence, found.complete, found.served, calls) == (None, True, 2, 1)


async def test_a_check_that_a_run_did_not_have_is_a_divergence(desk: Platform) -> None:
    async with answering(desk, Agent("auto", model="auto")):
        _, events = await desk.ask(EASY)
    key = RunKey.of(events[0].subject)
    checked = Agent("auto", model="auto", check=raises)
    found = await replay(checked, key, await fold(desk.bus, key.everything, *key.around))
    assert found.divergence is not None
    assert (found.divergence.step, found.divergence.asked) == ("check", {"note": "checked"})


async def test_one_filter_finds_what_all_checks_said(desk: Platform) -> None:
    async with answering(desk, Agent("auto", model="auto", check=passes_on("good")), small=["good", "bad"]):
        await desk.ask(EASY)
        await desk.ask(EASY)
    found = await fold(desk.bus, filter_of(kind="note", step="check"))
    assert [event.fact.data["passed"] for event in found if isinstance(event.fact, Note)] == [True, False]
