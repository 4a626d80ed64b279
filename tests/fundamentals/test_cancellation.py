"""A run that is told to stop ends in one answer, whether or not anybody works on it; so do the runs it asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform, kinds, routed
from trunkline import Agent, Run
from trunkline.bus import Bus, append, fold
from trunkline.bus.append import Recorded
from trunkline.bus.consumers import of_agent
from trunkline.contracts.errors import AlreadyEnded, BusUnavailable, InvalidName, NotFound
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Fact, Note, Parent, Task
from trunkline.contracts.registry import AgentCard
from trunkline.contracts.subjects import ROUTER, RunKey, Subject
from trunkline.run import ending
from trunkline.run.state import RunState
from trunkline.worker import turn
from trunkline_router import placing
from trunkline_router.runs import keeper
from trunkline_router.runs.open_runs import WAITING


def sleeper() -> Agent:
    agent = Agent("sleeper")

    @agent.flow
    async def handle(run: Run) -> str:
        await run.sleep(3600)
        return "good morning"

    return agent


def passes_on(name: str, to: str) -> Agent:
    agent = Agent(name, delegates=[to])

    @agent.flow
    async def handle(run: Run) -> str:
        reply = await run.outcome(to, "wait for me")
        return f"{to} says: {reply.error.code if reply.error else reply.value}"

    return agent


@pytest.fixture
async def platform(bus: Bus) -> AsyncIterator[Platform]:
    async with routed(bus) as made:
        yield made


async def code_of(platform: Platform, key: RunKey) -> str:
    error = (await platform.answer(key)).error
    return error.code if error else "answered"


async def tasks(bus: Bus) -> dict[str, RunKey]:
    """Runs by the agent that has them."""
    return {event.subject.name: RunKey.of(event.subject) for event in await fold(bus, "trunk.*.*.*.task.>")}


async def chain(platform: Platform) -> dict[str, RunKey]:
    """A run that asked for one, which asked for one that sleeps."""
    await platform.asked("go", agent="first")

    async def asleep() -> bool:
        found = await tasks(platform.bus)
        return "sleeper" in found and "call" in kinds(await fold(platform.bus, found["sleeper"].everything))

    await wait_until(asleep, "the last of three runs to sleep")
    return await tasks(platform.bus)


async def test_a_sleeping_run_is_ended_though_nobody_works_on_it(platform: Platform) -> None:
    async with platform.run(sleeper()):
        key = await platform.asked("wait")
        await platform.until(key, "call")
    await platform.client.cancel(key.run, reason="too slow")
    answer = await platform.answer(key)
    assert answer.error is not None
    assert (answer.error.code, answer.error.hint) == ("cancelled", "too slow")
    assert kinds(await fold(platform.bus, key.everything)).count("answer") == 1


async def test_the_runs_that_it_asked_for_stop_too(platform: Platform) -> None:
    async with platform.run(passes_on("first", "second"), passes_on("second", "sleeper"), sleeper()):
        runs = await chain(platform)
        await platform.client.cancel(runs["first"].run)
        assert [await code_of(platform, runs[name]) for name in ("first", "second", "sleeper")] == ["cancelled"] * 3


async def test_a_delegated_run_that_is_cancelled_is_a_result_to_the_one_that_asked(platform: Platform) -> None:
    async with platform.run(passes_on("first", "second"), passes_on("second", "sleeper"), sleeper()):
        runs = await chain(platform)
        await platform.client.cancel(runs["sleeper"].run)
        assert (await platform.answer(runs["first"])).text == "second says: sleeper says: cancelled"


async def test_the_one_that_asked_is_told_though_the_bus_failed_at_that_moment(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    tells, answered = ending.hand_up, asyncio.Event()

    async def fails_first(bus: Bus, state: RunState, parent: Parent) -> None:
        if not answered.is_set():
            key = await platform.asked("behind the child's answer", agent="nobody")
            await platform.answer(key)
            answered.set()
            raise BusUnavailable("The bus is away.")
        await tells(bus, state, parent)

    async with platform.run(passes_on("first", "second"), passes_on("second", "sleeper"), sleeper()):
        runs = await chain(platform)
        monkeypatch.setattr(ending, "hand_up", fails_first)
        await platform.client.cancel(runs["sleeper"].run)
        assert (await platform.answer(runs["first"])).text == "second says: sleeper says: cancelled"
    assert answered.is_set()


async def test_the_one_that_asked_is_told_by_the_next_router(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = asyncio.Event()

    async def dies(bus: Bus, state: RunState, parent: Parent) -> None:
        reached.set()
        await asyncio.Event().wait()

    agents = passes_on("first", "second"), passes_on("second", "sleeper"), sleeper()
    async with routed(bus) as before, before.run(*agents):
        runs = await chain(before)
        with monkeypatch.context() as patched:
            patched.setattr(ending, "hand_up", dies)
            await before.client.cancel(runs["sleeper"].run)
            await reached.wait()
    assert "answer" in kinds(await fold(bus, runs["sleeper"].everything))
    async with routed(bus) as after, after.run(*agents):
        assert (await after.answer(runs["first"])).text == "second says: sleeper says: cancelled"


async def test_a_task_that_is_written_behind_the_answer_counts_nowhere(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its publication was under way when the run was ended."""
    held, go = asyncio.Event(), asyncio.Event()

    async def late(bus: Bus, subject: Subject, fact: Fact, *, whoever: bool = False) -> Recorded:
        if isinstance(fact, Task) and not held.is_set():
            held.set()
            await go.wait()
        return await append(bus, subject, fact, whoever=whoever)

    monkeypatch.setattr(placing, "append", late)
    async with routed(bus, router_agent_limit=1) as platform, platform.run(Agent("plain")):
        key = await platform.asked("hello", agent="plain")
        await held.wait()
        await platform.client.cancel(key.run)
        await platform.answer(key)
        go.set()
        await platform.until(key, "task")

        async def let_in() -> bool:
            answer, _ = await platform.ask("hello", agent="plain")
            return not answer.startswith("busy")

        await wait_until(let_in, "the agent to be free")
        found = kinds(await fold(bus, key.everything))
    assert found.index("answer") < found.index("task")


async def test_what_cannot_be_done_now_does_not_keep_others_waiting(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More questions than the keeper has hands wait for a first agent."""
    monkeypatch.setattr(keeper, "AGAIN_SECONDS", 3600)
    for _ in range(2 * keeper.HANDS):
        key = await platform.asked("hello")
        await append(platform.bus, key.step("note", ROUTER), Note(what=WAITING))
    key = RunKey.checked(new_run_id(), new_conversation_id())
    await append(platform.bus, key.step("task", "ghost"), Task(text="hello"))
    await platform.client.cancel(key.run)
    assert await code_of(platform, key) == "cancelled"


async def test_a_run_whose_asker_has_ended_stops(platform: Platform) -> None:
    """Whoever asked for it may have been ended before its task stood on the log."""
    parent = RunKey.checked(new_run_id(), new_conversation_id())
    child = RunKey(parent.tenant, parent.conversation, new_run_id())
    await append(platform.bus, parent.step("answer", "client"), Answer(text="done"))
    task = Task(text="hello", parent=Parent(run=parent.run, agent="first", step="1"))
    await append(platform.bus, child.step("task", "sleeper"), task)
    answer = await platform.answer(child)
    assert answer.error is not None
    assert answer.error.hint == "The run that asked for it has ended."


async def test_a_run_that_has_ended_cannot_be_cancelled(platform: Platform) -> None:
    async with platform.run(Agent("plain")):
        key = await platform.asked("hello")
        await platform.answer(key)
    with pytest.raises(AlreadyEnded, match="has ended"):
        await platform.client.cancel(key.run)
    with pytest.raises(NotFound, match="There is no run"):
        await platform.client.cancel(new_run_id())
    with pytest.raises(InvalidName):
        await platform.client.cancel("a.>")
    assert "cancel" not in kinds(await fold(platform.bus, key.everything))


async def test_a_run_that_is_not_there_yet_cannot_be_cancelled(platform: Platform) -> None:
    key = RunKey.checked(new_run_id(), new_conversation_id())
    with pytest.raises(NotFound, match="There is no run"):
        await platform.client.cancel(key.run, key.conversation)
    assert await fold(platform.bus, key.everything) == []


async def test_a_cancelled_run_is_not_paid_for_by_a_worker_that_comes_later(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "OLD", timedelta(0))
    async with platform.run(Agent("plain")):
        pass  # its consumer knows from now on what nobody has had
    await platform.announce(AgentCard(agent="plain", worker="gone", beat_seconds=60))
    key = await platform.asked("hello")
    task = await platform.until(key, "task")
    await platform.client.cancel(key.run)
    await platform.answer(key)
    async with platform.run(Agent("plain")):
        await acknowledged(platform.bus, "plain", task.sequence)
    assert platform.model.asked == []


@pytest.mark.parametrize(("on_disconnect", "expected"), [("cancel", True), ("continue", False)])
async def test_who_leaves_the_iteration_may_want_the_run_to_stop(
    platform: Platform, *, on_disconnect: str, expected: bool
) -> None:
    run = new_run_id()
    async with platform.run(sleeper()):
        items = platform.client.stream("wait", run=run, conversation="c", on_disconnect=on_disconnect)  # type: ignore[arg-type]
        async with contextlib.aclosing(items):
            await anext(items)
    assert ("cancel" in kinds(await platform.events_of(run, "c"))) is expected


async def test_who_is_cancelled_may_want_the_run_to_stop(platform: Platform) -> None:
    async with platform.run(sleeper()):
        asking = asyncio.create_task(platform.client.ask("wait", conversation="c", on_disconnect="cancel"))
        await wait_until(lambda: in_conversation(platform.bus, "call"), "the run to sleep")
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await wait_until(lambda: in_conversation(platform.bus, "answer"), "the run to end")


async def test_an_answer_in_time_cancels_nothing(platform: Platform) -> None:
    async with platform.run(Agent("plain")):
        reply = await platform.client.ask("hello", on_disconnect="cancel")
        _, events = await platform.ask("hello", on_disconnect="cancel")
    assert "cancel" not in kinds(await platform.events_of(reply.run, reply.conversation) + events)


async def test_garbage_under_cancel_stops_the_run(platform: Platform) -> None:
    """It takes the only place in which a cancellation can stand."""
    async with platform.run(sleeper()):
        key = await platform.asked("wait")
        await platform.until(key, "call")
        await platform.bus.mailbox.request(str(key.cancel), b"\xff\x00")
        assert await code_of(platform, key) == "cancelled"


async def in_conversation(bus: Bus, kind: str) -> bool:
    return bool(await fold(bus, f"trunk.main.c.*.{kind}.>"))


async def acknowledged(bus: Bus, agent: str, sequence: int) -> None:
    """Until one of the agent's workers is through with a message."""
    consumer = of_agent(agent)

    async def through() -> bool:
        info = await bus.api(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
        return bool(info["ack_floor"]["stream_seq"] >= sequence)

    await wait_until(through, f"agent {agent} to be through with message {sequence}")
