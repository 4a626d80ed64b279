"""A recorded run under the agent's present code: nothing is executed, and the first step that differs is named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.fundamentals.conftest import Platform
from trunkline import Agent, Run
from trunkline.bus import fold
from trunkline.contracts.codec import Event
from trunkline.contracts.errors import RunFailed, ToolFailed
from trunkline.contracts.subjects import RunKey
from trunkline.run.replay import Mode, Replayed, replay

Flow = Callable[[Run], Awaitable[str]]


def agent_of(flow: Flow | None = None, *, tools: tuple[str, ...] = ("add", "double"), told: str = "") -> Agent:
    agent = Agent("flow", instructions=told, tools=tools)
    if flow:

        @agent.flow
        async def handle(run: Run) -> str:
            return await flow(run)

    return agent


async def think_and_add(run: Run, thought: str = "think", tool: str = "add", a: object = 1) -> str:
    await run.model(thought)
    return f"{await run.call(tool, a=a, b=2)}"


async def record(platform: Platform, agent: Agent, text: str = "go") -> tuple[RunKey, list[Event]]:
    async with platform.run(agent):
        _, events = await platform.ask(text, agent=agent.name)
    key = RunKey.of(events[0].subject)
    return key, await fold(platform.bus, key.everything, *key.around)


async def again(
    platform: Platform, agent: Agent, recorded: tuple[RunKey, list[Event]], mode: Mode = "strict"
) -> Replayed:
    """The replay, which neither pays nor writes."""
    key, events = recorded
    paid = len(platform.model.asked)
    found = await replay(agent, key, events, mode=mode)
    assert len(platform.model.asked) == paid
    assert len(await fold(platform.bus, key.everything, *key.around)) == len(events)
    return found


def step_of(found: Replayed) -> tuple[str, object, object]:
    assert found.divergence is not None
    return found.divergence.step, found.divergence.recorded, found.divergence.asked


async def fan_out(run: Run) -> str:
    async def branch(number: int) -> int:
        once = await run.call("double", number=number)
        return int(await run.call("add", a=once, b=1))

    return repr(await asyncio.gather(branch(1), branch(2), run.call("double", number=3)))


async def patient(run: Run) -> str:
    await run.note("going to sleep")
    await run.sleep(0.1)
    return "slept"


async def refused(run: Run) -> str:
    try:
        await run.call("unheard_of")
    except ToolFailed as error:
        return error.code
    return "no"


async def lonely(run: Run) -> str:
    try:
        return await run.ask("nobody", "are you there?")
    except RunFailed as error:
        return error.code


async def breaks(run: Run) -> str:
    await run.model("think")
    raise ValueError("as it did then")


@pytest.mark.parametrize("flow", [None, think_and_add, fan_out, patient, refused, lonely, breaks])
@pytest.mark.parametrize("mode", ["strict", "structural"])
async def test_unchanged_code_does_not_diverge(platform: Platform, flow: Flow | None, mode: Mode) -> None:
    recorded = await record(platform, agent_of(flow), "add 2 and 40")
    found = await again(platform, agent_of(flow), recorded, mode)
    assert found.divergence is None
    assert found.complete
    assert found.served == len(
        {*(event.subject.step for event in recorded[1] if event.subject.kind in ("model", "result"))}
    )


async def test_a_conversation_and_a_delegation_are_part_of_the_record(platform: Platform) -> None:
    asker, helper = Agent("asker"), agent_of(think_and_add)

    @asker.flow
    async def ask(run: Run) -> str:
        return f"{await run.ask('flow', 'add')} after {len(run.messages)}"

    async with platform.run(asker, helper):
        await platform.ask("first", agent="asker", conversation="same")
        _, events = await platform.ask("second", agent="asker", conversation="same")
    key = RunKey.of(events[0].subject)
    found = await again(platform, asker, (key, await fold(platform.bus, key.everything, *key.around)))
    assert (found.divergence, found.complete, found.served) == (None, True, 1)


async def test_a_changed_prompt_is_named(platform: Platform) -> None:
    recorded = await record(platform, agent_of(think_and_add))
    changed = agent_of(lambda run: think_and_add(run, thought="think twice"))
    found = await again(platform, changed, recorded)
    step, then, now = step_of(found)
    assert step == "1"
    assert (then["messages"], now["messages"]) == (  # type: ignore[index]
        [{"role": "user", "text": "think"}],
        [{"role": "user", "text": "think twice"}],
    )
    assert (await again(platform, changed, recorded, "structural")).divergence is None


async def test_changed_instructions_of_the_built_in_loop_are_named(platform: Platform) -> None:
    recorded = await record(platform, agent_of(told="Be brief."), "add 2 and 40")
    found = await again(platform, agent_of(told="Be long."), recorded)
    step, then, now = step_of(found)
    assert (step, then["instructions"], now["instructions"]) == ("1", "Be brief.", "Be long.")  # type: ignore[index]


@pytest.mark.parametrize(("value", "structural"), [(5, None), ("one", "2")])
async def test_a_changed_argument_is_named(platform: Platform, value: object, structural: str | None) -> None:
    """Structurally only when its shape is another one."""
    recorded = await record(platform, agent_of(think_and_add))
    changed = agent_of(lambda run: think_and_add(run, a=value))
    step, then, now = step_of(await again(platform, changed, recorded))
    assert (step, then, now) == (
        "2",
        {"tool": "add", "arguments": {"a": 1, "b": 2}},
        {"tool": "add", "arguments": {"a": value, "b": 2}},
    )
    found = await again(platform, changed, recorded, "structural")
    assert (step_of(found)[0] if found.divergence else None) == structural


@pytest.mark.parametrize("mode", ["strict", "structural"])
async def test_a_renamed_tool_is_named(platform: Platform, mode: Mode) -> None:
    recorded = await record(platform, agent_of(think_and_add))
    changed = agent_of(lambda run: think_and_add(run, tool="sum"), tools=("sum",))
    step, then, now = step_of(await again(platform, changed, recorded, mode))
    assert (step, then["tool"], now["tool"]) == ("2", "add", "sum")  # type: ignore[index]


async def test_a_renamed_tool_of_the_built_in_loop_is_named(platform: Platform) -> None:
    recorded = await record(platform, agent_of(), "add 2 and 40")
    step, then, now = step_of(await again(platform, agent_of(tools=("sum",)), recorded))
    assert (step, then["tools"], now["tools"]) == ("1", ["add", "double"], ["sum"])  # type: ignore[index]


async def test_a_step_more_and_a_step_less_are_named(platform: Platform) -> None:
    async def only_think(run: Run) -> str:
        await run.model("think")
        return "3"

    async def twice(run: Run) -> str:
        await think_and_add(run)
        return await think_and_add(run)

    recorded = await record(platform, agent_of(think_and_add))
    call = {"tool": "add", "arguments": {"a": 1, "b": 2}}
    assert step_of(await again(platform, agent_of(only_think), recorded)) == ("2", call, None)
    step, then, now = step_of(await again(platform, agent_of(twice), recorded))
    assert (step, then) == ("3", None)
    assert now["messages"] == [{"role": "user", "text": "think"}]  # type: ignore[index]


async def test_another_answer_is_named(platform: Platform) -> None:
    async def politely(run: Run) -> str:
        return f"It is {await think_and_add(run)}."

    recorded = await record(platform, agent_of(think_and_add))
    found = await again(platform, agent_of(politely), recorded)
    assert step_of(found) == ("answer", {"text": "3"}, {"text": "It is 3."})
    assert (await again(platform, agent_of(politely), recorded, "structural")).divergence is None


async def test_code_that_catches_everything_does_not_hide_a_divergence(platform: Platform) -> None:
    async def careless(run: Run) -> str:
        try:
            return await think_and_add(run, thought="other")
        except Exception:  # noqa: BLE001  # that is what it does
            return "3"

    recorded = await record(platform, agent_of(think_and_add))
    assert step_of(await again(platform, agent_of(careless), recorded))[0] == "1"


async def test_the_record_of_a_run_that_was_stopped_ends_early_and_that_is_no_divergence(platform: Platform) -> None:
    async def rests(run: Run) -> str:
        await run.model("think")
        await run.sleep(30)
        return await think_and_add(run)

    agent = agent_of(rests)
    async with platform.run(agent):
        asking = asyncio.create_task(platform.ask("go", conversation="c", agent="flow"))
        run = ""
        while not run:
            events = await fold(platform.bus, "trunk.main.c.*.call.timer.*")
            run = events[0].subject.run if events else ""
        await platform.client.cancel(run, "c")
        await asking
    key = RunKey.checked(run, "c")
    found = await again(platform, agent, (key, await fold(platform.bus, key.everything, *key.around)))
    assert (found.divergence, found.complete, found.served) == (None, False, 1)
