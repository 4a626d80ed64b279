"""A flow that is made to leave a turn: what it asks for on its way out is not begun, and holds up nobody."""

from __future__ import annotations

import asyncio

import pytest

from tests.fundamentals.conftest import Platform, kinds
from trunkline import Agent, Run
from trunkline.bus import append
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Call, Cancel, Request, Result, Task, Turn
from trunkline.contracts.subjects import RunKey


@pytest.mark.parametrize("last_wish", ["call", "model"])
async def test_a_step_in_a_finally_is_not_begun_while_the_turn_is_left(platform: Platform, last_wish: str) -> None:
    agent = Agent("flow", tools=["double"])

    @agent.flow
    async def handle(run: Run) -> str:
        try:
            await run.sleep(0.2)
        finally:
            if last_wish == "call":
                await run.call("double", number=1)
            else:
                await run.model("clean up")
        return "done"

    async with platform.run(agent):
        answer, events = await platform.ask("go")
    assert answer == "done"
    assert kinds(events).count("call") == (2 if last_wish == "call" else 1)
    assert len(platform.model.asked) == (0 if last_wish == "call" else 1)


async def test_a_model_call_that_the_flow_gives_up_ends_the_run_clearly(platform: Platform) -> None:
    agent = Agent("flow", tools=["double"])

    @agent.flow
    async def handle(run: Run) -> str:
        try:
            async with asyncio.timeout(0):
                await run.model("think")
        except TimeoutError:
            pass
        return f"{await run.call('double', number=1)}"

    async with platform.run(agent):
        answer, _ = await platform.ask("go")
    assert answer == "run_failed: The agent's code gave up a step before it was done."


async def test_a_time_out_of_the_agents_own_is_told_as_such(platform: Platform) -> None:
    agent = Agent("flow")

    @agent.flow
    async def handle(run: Run) -> str:
        raise TimeoutError("the warehouse did not answer")

    async with platform.run(agent):
        answer, _ = await platform.ask("go")
    assert answer.startswith("agent_failed: ")
    assert "the warehouse did not answer" in answer


async def test_an_effect_does_not_happen_after_its_run_was_cancelled(platform: Platform, tmp_path: object) -> None:
    """Though nobody has had the call before."""
    key, book = RunKey.checked(new_run_id(), new_conversation_id()), f"{tmp_path}/book"
    await append(platform.bus, key.cancel, Cancel(by="u"))
    await append(platform.bus, key.step("request", "nobody"), Request(text="q"))
    await append(platform.bus, key.step("task", "absent"), Task())
    call = Call(agent="absent", arguments={"amount": 5, "file": book}, turn=Turn())
    await append(platform.bus, key.step("call", "deposit", "1"), call)
    result = await platform.until(key, "result")
    assert isinstance(result.fact, Result)
    assert result.fact.error is not None
    assert result.fact.error.code == "cancelled"
    assert "started" not in kinds(await platform.events_of(key.run, key.conversation))
