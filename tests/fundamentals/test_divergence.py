"""Changed code meets an old run: it asks for something else, and both inputs are shown."""

from __future__ import annotations

import pytest

from tests.fundamentals.conftest import Platform
from trunkline import Agent, Run
from trunkline.bus import fold
from trunkline.contracts.codec import Event
from trunkline.contracts.messages import Answer, Prompt
from trunkline.contracts.subjects import RunKey
from trunkline.run.divergence import Record


async def record(platform: Platform, events: list[Event]) -> Record:
    key = RunKey.of(events[0].subject)
    return Record(key, await fold(platform.bus, key.everything, *key.around))


def data_of(events: list[Event]) -> dict[str, object]:
    answer = events[-1].fact
    assert isinstance(answer, Answer)
    assert answer.error is not None
    return answer.error.data


async def test_a_changed_prompt_is_shown_beside_the_recorded_one(platform: Platform) -> None:
    asked = {"number": 1}
    agent = Agent("flow", instructions="Be brief.", tools=["double"])

    @agent.flow
    async def handle(run: Run) -> str:
        await run.model(f"think about {asked['number']}")
        asked["number"] = 2  # what a deployed change would do
        return f"{await run.call('double', number=1)}"

    async with platform.run(agent):
        answer, events = await platform.ask("go")
    assert '-       "text": "think about 1"' in answer
    assert '+       "text": "think about 2"' in answer
    assert "Be brief" not in answer
    assert data_of(events)["recorded"] == {
        "model": "small",
        "instructions": "Be brief.",
        "tools": [],
        "messages": [{"role": "user", "text": "think about 1"}],
    }


async def test_changed_arguments_are_shown_beside_the_recorded_ones(platform: Platform) -> None:
    asked = {"number": 1}
    agent = Agent("flow", tools=["double"])

    @agent.flow
    async def handle(run: Run) -> str:
        number = asked["number"]
        asked["number"] = 5
        return f"{await run.call('double', number=number)}"

    async with platform.run(agent):
        _, events = await platform.ask("go")
    assert data_of(events) == {
        "step": "1",
        "recorded": {"tool": "double", "arguments": {"number": 1}},
        "asked": {"tool": "double", "arguments": {"number": 5}},
    }


@pytest.mark.parametrize("later", ["model", "ask"])
async def test_another_kind_of_step_in_the_same_place_is_a_divergence(platform: Platform, later: str) -> None:
    seen: list[str] = []
    agent = Agent("flow", tools=["double"])

    @agent.flow
    async def handle(run: Run) -> str:
        if not seen:
            seen.append("then")
            await run.call("double", number=1)
        elif later == "model":
            await run.model("think")
        else:
            await run.ask("flow", "and you?")
        return "done"

    async with platform.run(agent):
        answer, events = await platform.ask("go")
    assert answer.startswith("divergence: ")
    assert data_of(events)["recorded"] == {"tool": "double", "arguments": {"number": 1}}
    assert platform.model.asked == []


async def test_a_call_in_the_place_of_a_model_step_is_a_divergence(platform: Platform) -> None:
    seen: list[str] = []
    agent = Agent("flow", tools=["double"])

    @agent.flow
    async def handle(run: Run) -> str:
        if not seen:
            seen.append("then")
            await run.model("think")
        await run.call("double", number=1)
        await run.call("double", number=2)
        return "done"

    async with platform.run(agent):
        answer, events = await platform.ask("go")
    assert answer.startswith("divergence: The agent's code asks for something else at step 1")
    assert data_of(events)["asked"] == {"tool": "double", "arguments": {"number": 1}}


async def test_the_record_has_the_whole_of_what_a_model_was_told(platform: Platform) -> None:
    """Though each prompt only says what is new."""
    agent = Agent("sums", instructions="Add.", tools=["add"])
    async with platform.run(agent):
        await platform.ask("add 1 and 1", conversation="same")
        _, events = await platform.ask("add 2 and 40", conversation="same")
    found = await record(platform, events)
    told = [found.told(step) for step in found.steps if (found.told(step) or {}).get("messages")]
    queries = platform.model.asked[-len(told) :]
    assert [[message["role"] for message in each["messages"]] for each in told if each] == [
        ["user", "assistant", "user"],
        ["user", "assistant", "user", "assistant", "tool"],
    ]
    assert [len(query.messages) for query in queries] == [3, 5]
    prompts = [event.fact for event in events if isinstance(event.fact, Prompt)]
    assert [(prompt.history, prompt.base, len(prompt.said)) for prompt in prompts] == [(2, "", 1), (0, "1", 2)]
