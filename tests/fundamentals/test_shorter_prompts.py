"""A model is told what it needs of a long conversation, many tools, and a large result; the log keeps all of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform
from trunkline import Agent, Run
from trunkline.bus import fold
from trunkline.contracts.codec import Event
from trunkline.contracts.dialog import ModelQuery, ModelReply, ToolCall, ToolMessage, Usage, UserMessage
from trunkline.contracts.errors import ModelFailed
from trunkline.contracts.messages import Note, Prompt, Result
from trunkline.contracts.savings import SAVING
from trunkline.contracts.subjects import SUMMARY, RunKey
from trunkline.prices import Money
from trunkline.prices.estimate import estimated_json_tokens, estimated_message_tokens
from trunkline.run.divergence import record_of
from trunkline.run.replay import Mode, replay
from trunkline.run.window import INTRODUCTION
from trunkline.worker import WorkerSettings, working

WINDOW = 400
LONG = "The parcel was handed to the carrier and is on its way to you, as far as anybody here can tell. "
TOOLS = """
from trunkline import tool

@tool
def rows(count: int) -> list[dict]:
    "Rows of a table."
    return [{"id": number, "text": "a row of a long table"} for number in range(count)]

@tool(result_tokens=100)
def short_rows(count: int) -> list[dict]:
    "Rows of a table, of which a model shall see few."
    return [{"id": number, "text": "a row of a long table"} for number in range(count)]

@tool
def refund(invoice: str) -> str:
    "Give money back."
    return "done"

@tool
def weather(city: str) -> str:
    "What the sky will be like."
    return "sunny"
"""


@pytest.fixture
def tool_file(tmp_path: Path) -> Path:
    path = tmp_path / "tools.py"
    path.write_text(TOOLS)
    return path


@dataclass
class Talker:
    """Answers at length; the summary is what the small tier says. A question `call TOOL` has it called once."""

    small: str = "offline:small"
    usage: Usage = field(default_factory=Usage)
    of_summary: Usage = field(default_factory=lambda: Usage(input_tokens=9))
    asked: list[ModelQuery] = field(default_factory=list)
    summary: str = "They talked about parcels."
    failing: bool = False
    holding: bool = False
    held: asyncio.Event = field(default_factory=asyncio.Event)

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        self.asked.append(query)
        if query.model == self.small:
            if self.failing:
                raise ModelFailed("The small tier is away.", retryable=False, spent=False)
            return ModelReply(model=query.model, text=self.summary, usage=self.of_summary, finish="stop")
        if self.holding and self.summaries:
            self.held.set()
            await asyncio.Event().wait()
        last = query.messages[-1]
        if isinstance(last, UserMessage) and last.text.startswith("call "):
            call = ToolCall(id="1", tool=last.text.split()[1], arguments={"count": 3000})
            return ModelReply(model=query.model, calls=(call,), finish="tool_call")
        on_text(LONG)
        return ModelReply(model=query.model, text=LONG * 4, usage=self.usage, finish="stop")

    async def close(self) -> None:
        """There is nothing to close."""

    @property
    def summaries(self) -> list[ModelQuery]:
        return [query for query in self.asked if query.model == self.small]

    @property
    def answers(self) -> list[ModelQuery]:
        return [query for query in self.asked if query.model != self.small]


@pytest.fixture
def talker(platform: Platform) -> Talker:
    model = Talker()
    platform.model.model = model  # type: ignore[assignment]  # whatever answers
    return model


def plain(**options: int) -> Agent:
    return Agent("plain", model="large", **{"history_tokens": WINDOW, **options})  # type: ignore[arg-type]


async def conversation(platform: Platform, questions: int, *, agent: str = "plain") -> list[Event]:
    """The events of its last run."""
    events: list[Event] = []
    for number in range(questions):
        answer, events = await platform.ask(f"Where is parcel {number}?", conversation="long", agent=agent)
        assert answer == LONG * 4
    return events


def savings(events: Sequence[Event]) -> dict[str, Note]:
    notes = [event.fact for event in events if isinstance(event.fact, Note) and event.fact.what == SAVING]
    return {note.data["lever"]: note for note in notes}


def tokens(query: ModelQuery) -> int:
    return sum(map(estimated_message_tokens, query.messages[:-1]))


async def test_a_long_conversation_is_told_in_a_window_and_a_summary(platform: Platform, talker: Talker) -> None:
    """Few questions pay for a summary, and between two of them each prompt begins like the one before."""
    async with platform.run(plain()):
        events = await conversation(platform, 12)
    assert all(tokens(query) <= WINDOW for query in talker.answers)
    assert 2 <= len(talker.summaries) <= 6
    for number, query in enumerate(talker.answers[1:]):
        assert query.messages[-3] == UserMessage(f"Where is parcel {number}?")
    told = talker.answers[-1].messages
    assert told[0] == UserMessage(INTRODUCTION + talker.summary)
    begin_alike = sum(
        later.messages[: len(earlier.messages)] == earlier.messages
        for earlier, later in itertools.pairwise(talker.answers)
    )
    assert begin_alike == len(talker.answers) - 1 - len(talker.summaries)
    assert savings(events)["history"].data["tokens"] > 12 * 100 - WINDOW
    assert "They talked" in talker.summaries[-1].messages[0].text  # type: ignore[union-attr]  # it goes on from the last


async def test_what_was_left_out_is_worth_what_the_model_that_was_asked_would_have_taken(platform: Platform) -> None:
    """As much of it from the provider's cache as of the rest; what the summary in its place cost comes off."""
    talker = Talker(
        small="openai:gpt-4o-mini",
        usage=Usage(input_tokens=1000, cache_read_tokens=400),
        of_summary=Usage(input_tokens=100_000),
    )
    models = {"small": talker.small, "large": "openai:gpt-4o"}
    dearer = cheaper = 0
    async with working(platform.bus, [plain()], talker, lambda name: (models[name],)):
        await wait_until(lambda: "plain" in platform.routes.agents(), "the router knows the agent")
        for _ in range(8):
            summaries = len(talker.summaries)
            note = savings(await conversation(platform, 1)).get("history")
            if note is None:
                continue
            left_out, cached = note.data["tokens"], note.data["tokens"] * 400 // 1000
            picodollars = (left_out - cached) * 2_500_000 + cached * 1_250_000
            if len(talker.summaries) > summaries:
                dearer += 1
                expected = {"cost": "0", "extra": str(Money(100_000 * 150_000 - picodollars))}
            else:
                cheaper += 1
                expected = {"cost": str(Money(picodollars))}
            assert {name: note.data[name] for name in note.data.keys() & {"cost", "extra"}} == expected
    assert min(dearer, cheaper) > 0


async def test_a_prompt_on_the_log_says_the_window_in_few_words(platform: Platform, talker: Talker) -> None:
    """And the record has all that the model was told."""
    async with platform.run(plain()):
        events = await conversation(platform, 9)
    prompt = [event.fact for event in events if isinstance(event.fact, Prompt)][-1]
    assert prompt.skipped > 0
    assert (len(prompt.opening), prompt.said) == (1, (UserMessage("Where is parcel 8?"),))
    key = RunKey.of(events[0].subject)
    record = await record_of(platform.bus, key)
    told = record.told(record.steps[-1])
    assert told is not None
    assert [message["text"] for message in told["messages"]] == [
        message.text for message in talker.answers[-1].messages if not isinstance(message, ToolMessage)
    ]


async def test_a_summary_that_fails_fails_no_run(platform: Platform, talker: Talker) -> None:
    talker.failing = True
    async with platform.run(plain()):
        await conversation(platform, 7)
    assert talker.summaries
    assert all(tokens(query) <= WINDOW for query in talker.answers)
    assert talker.answers[-1].messages[-3] == UserMessage("Where is parcel 5?")


async def test_a_summary_is_made_once_whoever_goes_on(platform: Platform, talker: Talker) -> None:
    """The worker dies in the call behind it: the next one has the summary from the log."""
    settings = WorkerSettings(ack_wait=1.0, drain_seconds=0.0)
    talker.holding = True
    async with platform.run(plain(), settings=settings):
        key = await platform.asked("Where is it?", conversation="long", agent="plain")
        await platform.answer(key)
        while not talker.held.is_set():
            key = await platform.asked("Where is it?", conversation="long", agent="plain")
            answering = asyncio.create_task(platform.answer(key))
            await wait_until(lambda: answering.done() or talker.held.is_set(), "an answer, or none")  # noqa: B023
            answering.cancel()
    talker.holding = False
    async with platform.run(plain(), settings=settings):
        assert (await platform.answer(key)).text == LONG * 4
    events = await fold(platform.bus, key.everything)
    assert len(talker.summaries) == 1
    assert [event.subject.step for event in events if isinstance(event.fact, Prompt)] == ["1-1", "2-1", "2-2"]
    assert [event.fact.what for event in events if isinstance(event.fact, Note)] == [SUMMARY, "takeover", SAVING]


async def test_replay_sees_the_same_window_and_another_one_as_what_it_is(platform: Platform, talker: Talker) -> None:
    async with platform.run(plain()):
        _, events = await platform.ask("Where is it?", conversation="long")
        while not talker.summaries:
            _, events = await platform.ask("Where is it?", conversation="long")
    key = RunKey.of(events[0].subject)
    recorded = await fold(platform.bus, key.everything, *key.around)
    paid = len(talker.asked)
    modes: tuple[Mode, ...] = ("strict", "structural")
    for mode in modes:
        found = await replay(plain(), key, recorded, mode=mode)
        assert (found.divergence, found.complete, found.served) == (None, True, 2)
    other = await replay(plain(history_tokens=8000), key, recorded)
    assert other.divergence is not None
    assert other.divergence.step == "1"
    assert len(talker.asked) == paid


async def test_a_flow_of_ones_own_has_the_whole_and_the_window(platform: Platform, talker: Talker) -> None:
    agent, seen = plain(), []

    @agent.flow
    async def handle(run: Run) -> str:
        recent = await run.recent()
        assert await run.recent() == recent
        seen.append((len(run.messages), len(recent)))
        return (await run.model(recent)).text

    async with platform.run(agent):
        await conversation(platform, 8)
    assert [whole for whole, _ in seen] == [1, 3, 5, 7, 9, 11, 13, 15]
    assert max(recent for _, recent in seen) < 10
    assert talker.summaries


async def test_an_agent_with_many_tools_tells_of_those_that_fit(platform: Platform, talker: Talker) -> None:
    agent = Agent("many", model="large", tools=["rows", "short_rows", "refund", "weather"], most_tools=2)
    async with platform.run(agent):
        _, events = await platform.ask("what will the weather be?", conversation="c", agent="many")
        assert [tool.name for tool in talker.asked[-1].tools] == ["rows", "weather"]
        assert savings(events)["tools"].data["tokens"] > 0
        await platform.ask("call short_rows", conversation="c", agent="many")
        await platform.ask("and the refund?", conversation="c", agent="many")
    assert [tool.name for tool in talker.asked[-1].tools] == ["short_rows", "refund"]
    key = RunKey.of(events[0].subject)
    recorded = await fold(platform.bus, key.everything, *key.around)
    assert (await replay(agent, key, recorded)).divergence is None
    agent.most_tools = 3
    assert (await replay(agent, key, recorded)).divergence is not None


async def test_few_tools_are_all_told(platform: Platform, talker: Talker) -> None:
    async with platform.run(Agent("few", model="large", tools=["rows", "refund"], most_tools=2)):
        _, events = await platform.ask("the weather?", agent="few")
    assert [tool.name for tool in talker.asked[-1].tools] == ["rows", "refund"]
    assert not savings(events)


@pytest.mark.parametrize(("tool", "most"), [("rows", 500), ("short_rows", 100)])
async def test_a_large_result_is_told_in_short_and_recorded_whole(
    platform: Platform, talker: Talker, tool: str, most: int
) -> None:
    agent = Agent("table", model="large", tools=["rows", "short_rows"], result_tokens=500)
    async with platform.run(agent):
        _, events = await platform.ask(f"call {tool}", agent="table")
    told = talker.asked[-1].messages[-1]
    assert isinstance(told, ToolMessage)
    assert most / 2 < estimated_json_tokens(told.content) <= most
    assert told.content[0] == {"id": 0, "text": "a row of a long table"}
    (whole,) = [event.fact.value for event in events if isinstance(event.fact, Result)]
    assert len(whole) == 3000
    left_out = estimated_json_tokens(whole) - estimated_json_tokens(told.content)
    assert savings(events)["results"].data["tokens"] == left_out
    key = RunKey.of(events[0].subject)
    recorded = await fold(platform.bus, key.everything, *key.around)
    assert (await replay(agent, key, recorded)).divergence is None
    agent.result_tokens = 90
    assert ((await replay(agent, key, recorded)).divergence is not None) == (tool == "rows")
