"""A flow is plain Python; every `await run.…` is a step that is written once and served from the log ever after."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fundamentals.conftest import Platform, kinds
from trunkline import Agent, Run
from trunkline.contracts.errors import ToolFailed
from trunkline.contracts.messages import Call, Model, Prompt, Result, Task


async def test_a_turn_with_one_tool_is_nine_messages_in_the_order_of_the_laws(platform: Platform) -> None:
    agent = Agent("sums", tools=["add"])
    async with platform.run(agent):
        answer, events = await platform.ask("add 2 and 40")
    assert "42" in answer
    assert kinds(events) == ["request", "task", "prompt", "model", "call", "result", "prompt", "model", "answer"]
    assert len(platform.model.asked) == 2


async def test_a_recorded_model_call_is_not_paid_again_when_the_flow_is_resumed(platform: Platform) -> None:
    agent = Agent("flow", tools=["add", "double"])

    @agent.flow
    async def handle(run: Run) -> str:
        await run.model("first")
        total = await run.call("add", a=1, b=2)
        await run.model("second")
        return f"{await run.call('double', number=total)}"

    async with platform.run(agent):
        answer, events = await platform.ask("go")
    assert answer == "6"
    assert [query.messages[-1].text for query in platform.model.asked] == ["first", "second"]  # type: ignore[union-attr]
    assert [event.subject.step for event in events if isinstance(event.fact, Call)] == ["2", "4"]


async def test_calls_side_by_side_are_one_turn(platform: Platform) -> None:
    agent = Agent("flow", tools=["add", "double"])

    @agent.flow
    async def handle(run: Run) -> str:
        found = await asyncio.gather(*(run.call("double", number=n) for n in range(5)))
        return f"{sum(found)}"

    async with platform.run(agent):
        answer, events = await platform.ask("go")
    assert answer == "20"
    turns = {(event.fact.turn.number, event.fact.turn.of) for event in events if isinstance(event.fact, Call)}
    assert turns == {(1, 5)}


async def test_branches_keep_their_names_however_long_each_waits(platform: Platform) -> None:
    agent = Agent("flow", tools=["add", "double"])

    async def branch(run: Run, start: int) -> int:
        once = await run.call("double", number=start)
        return int(await run.call("add", a=once, b=1))

    @agent.flow
    async def handle(run: Run) -> str:
        found = await asyncio.gather(branch(run, 1), branch(run, 10), run.call("double", number=100))
        return repr(list(found))

    async with platform.run(agent):
        answer, events = await platform.ask("go")
    assert answer == "[3, 21, 200]"
    steps = sorted(event.subject.step for event in events if isinstance(event.fact, Call))
    assert steps == ["1", "2_1", "2_2", "3_1", "3_2"]


async def test_delegation_is_a_run_of_its_own_and_its_answer_a_result(platform: Platform) -> None:
    asker, helper = Agent("asker"), Agent("helper", tools=["double"])

    @asker.flow
    async def ask(run: Run) -> str:
        return f"helper says {await run.ask('helper', 'double 21')}"

    @helper.flow
    async def help(run: Run) -> str:  # noqa: A001  # reads best here
        return f"{await run.call('double', number=21)} to {run.text!r}"

    async with platform.run(asker, helper):
        answer, events = await platform.ask("go", agent="asker")
    assert answer == "helper says 42 to 'double 21'"
    assert kinds(events) == ["request", "task", "result", "answer"]
    result = next(event.fact for event in events if isinstance(event.fact, Result))
    assert result.agent == "helper"
    child = await platform.events_of(result.run, events[0].subject.conversation)
    assert kinds(child) == ["task", "call", "result", "answer"]
    assert isinstance(child[0].fact, Task)
    assert child[0].fact.parent is not None
    assert child[0].fact.parent.run == events[0].subject.run


async def test_delegation_in_a_circle_ends_with_a_clear_failure(platform: Platform) -> None:
    agent = Agent("circle")

    @agent.flow
    async def again(run: Run) -> str:
        return await run.ask("circle", run.text)

    async with platform.run(agent):
        answer, _ = await platform.ask("go")
    assert "too deep" in answer or "deep" in answer


async def test_the_built_in_loop_may_ask_the_agents_on_its_list(platform: Platform) -> None:
    desk = Agent("desk", description="front desk", delegates=["sums"])
    sums = Agent("sums", description="adds numbers: sums and totals", tools=["add"])
    async with platform.run(desk, sums):
        answer, _ = await platform.ask("Ask sums to add 2 and 40", agent="desk")
    assert "42" in answer


async def test_a_sleeping_run_holds_nothing_and_is_woken(platform: Platform) -> None:
    agent = Agent("sleeper")

    @agent.flow
    async def handle(run: Run) -> str:
        await run.sleep(0.3)
        await run.note("awake", after=0.3)
        return "slept"

    async with platform.run(agent):
        answer, events = await platform.ask("go")
    assert answer == "slept"
    assert kinds(events) == ["request", "task", "call", "result", "note", "answer"]
    assert (events[3].at - events[2].at).total_seconds() >= 0.29


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), -1.0])
async def test_a_sleep_without_an_end_is_refused(platform: Platform, seconds: float) -> None:
    agent = Agent("sleeper")

    @agent.flow
    async def handle(run: Run) -> str:
        await run.sleep(seconds)
        return "slept"

    async with platform.run(agent):
        answer, _ = await platform.ask("go")
    assert answer.startswith("invalid_arguments: A run cannot sleep")


async def test_a_conversation_is_remembered(platform: Platform) -> None:
    agent = Agent("flow")

    @agent.flow
    async def handle(run: Run) -> str:
        return f"{len(run.messages)}: {run.text}"

    async with platform.run(agent):
        first, _ = await platform.ask("one", conversation="same")
        second, _ = await platform.ask("two", conversation="same")
        other, _ = await platform.ask("three")
    assert (first, second, other) == ("1: one", "3: two", "1: three")


async def test_changed_code_under_a_run_is_a_divergence_that_names_both_inputs(platform: Platform) -> None:
    asked = {"number": 1}
    agent = Agent("flow", tools=["double"])

    @agent.flow
    async def handle(run: Run) -> str:
        await run.model(f"think about {asked['number']}")
        asked["number"] = 2  # what a deployed change would do
        return f"{await run.call('double', number=1)}"

    async with platform.run(agent):
        answer, events = await platform.ask("go")
    assert answer.startswith("divergence: The agent's code asks for something else at step 1")
    assert len([event for event in events if isinstance(event.fact, Model)]) == 1


async def test_an_effect_is_preceded_by_started(platform: Platform, tmp_path: Path) -> None:
    agent = Agent("flow", tools=["deposit"])

    @agent.flow
    async def handle(run: Run) -> str:
        return str(await run.call("deposit", amount=5, file=str(tmp_path / "book")))

    async with platform.run(agent):
        answer, events = await platform.ask("go")
    assert answer == "done"
    assert kinds(events) == ["request", "task", "call", "started", "result", "answer"]
    assert (tmp_path / "book").read_text() == "5\n"


async def test_a_failed_tool_can_be_caught_like_any_exception(platform: Platform) -> None:
    agent = Agent("flow", tools=["raises"])

    @agent.flow
    async def handle(run: Run) -> str:
        try:
            await run.call("raises", text="no luck")
        except ToolFailed as error:
            return f"caught: {error.what}"
        return "no"

    async with platform.run(agent):
        answer, _ = await platform.ask("go")
    assert answer.startswith("caught: ")
    assert "no luck" in answer


async def test_a_prompt_says_who_pays_and_for_which_message(platform: Platform) -> None:
    async with platform.run(Agent("plain")):
        _, events = await platform.ask("hello")
    prompt = next(event.fact for event in events if isinstance(event.fact, Prompt))
    task = next(event for event in events if isinstance(event.fact, Task))
    assert (prompt.carrier, prompt.delivery, prompt.attempt) == (task.sequence, 1, 1)
    assert prompt.model == "offline:small"
    assert prompt.worker
