"""Every run ends in time, on the server's clock, in one answer that says what it waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import wait_until
from tests.fundamentals.conftest import kinds, routed
from trunkline import Agent, Run, Say
from trunkline.bus import Bus, append, fold
from trunkline.bus.streams import stream_info
from trunkline.contracts.dialog import ModelQuery, ModelReply
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Cancel, Failure, Model, Note, Parent, Task
from trunkline.contracts.registry import AgentCard
from trunkline.contracts.subjects import ROUTER, TRUNK, RunKey
from trunkline.models import OfflineModel
from trunkline.run.ending import HINTS
from trunkline.worker import WorkerSettings, working
from trunkline_router import placing
from trunkline_router.runs.open_runs import WAITING

PAID = "openai:gpt-4o-mini"


def sleeper(name: str = "sleeper") -> Agent:
    agent = Agent(name)

    @agent.flow
    async def handle(run: Run) -> str:
        await run.sleep(3600)
        return "good morning"

    return agent


async def test_a_run_that_takes_too_long_ends_and_says_what_it_waited_for(bus: Bus) -> None:
    async with routed(bus, router_run_seconds=3) as platform, platform.run(sleeper()):
        answer, events = await platform.ask("wait")
    assert answer.startswith("deadline_passed: The run had not ended after 3 s: since ")
    assert answer.endswith("it waited for its own sleep.")
    assert kinds(events) == ["request", "task", "call", "cancel", "answer"]


async def test_the_request_may_say_how_long(bus: Bus) -> None:
    async with routed(bus) as platform, platform.run(sleeper()):
        answer, events = await platform.ask("wait", deadline=timedelta(seconds=3))
    assert answer.startswith("deadline_passed: ")
    task = next(event.fact for event in events if isinstance(event.fact, Task))
    assert task.deadline is not None
    assert timedelta(0) < task.deadline - events[0].at <= timedelta(seconds=3)


async def test_the_task_bears_the_platforms_deadline_when_the_request_has_none(bus: Bus) -> None:
    async with routed(bus, router_run_seconds=77) as platform, platform.run(Agent("plain")):
        _, events = await platform.ask("hello")
    task = next(event.fact for event in events if isinstance(event.fact, Task))
    assert task.deadline == events[0].at + timedelta(seconds=77)


@pytest.mark.parametrize(
    ("deadline", "expected"),
    [
        (datetime(2001, 1, 1, tzinfo=UTC), "had passed when the question arrived"),
        (datetime(9999, 12, 31, tzinfo=UTC), "a run may take 7 days, 0:00:00 at most"),
        (datetime(2099, 1, 1), "names no time zone"),  # noqa: DTZ001  # the mistake that this is about
    ],
)
async def test_a_deadline_that_cannot_be_is_refused_at_once(bus: Bus, deadline: datetime, expected: str) -> None:
    async with routed(bus) as platform, platform.run(Agent("plain")):
        key = await platform.asked("hello", deadline=deadline)
        error = (await platform.answer(key)).error
        assert error is not None
        assert error.code == "invalid_deadline"
        assert expected in error.message
        assert kinds(await fold(bus, key.everything)) == ["request", "answer"]


async def test_a_deadline_that_passes_while_no_router_runs_is_kept_by_the_next_one(bus: Bus) -> None:
    async with routed(bus) as platform, platform.run(sleeper()):
        ends = (await stream_info(bus, TRUNK)).now + timedelta(seconds=3)
        key = await platform.asked("wait", deadline=ends)
        await platform.until(key, "call")

    async def over() -> bool:
        return (await stream_info(bus, TRUNK)).now > ends

    await wait_until(over, "the deadline to pass")
    assert "answer" not in kinds(await fold(bus, key.everything))
    async with routed(bus) as platform:
        error = (await platform.answer(key)).error
    assert error is not None
    assert error.code == "deadline_passed"


async def test_a_run_that_is_late_when_it_is_first_seen_is_given_to_nobody(bus: Bus) -> None:
    agents = [Agent("plain")]
    async with working(bus, agents, OfflineModel(), lambda name: (f"offline:{name}",)):
        async with routed(bus) as before:
            pass
        ends = (await stream_info(bus, TRUNK)).now + timedelta(seconds=0.5)
        keys = await asyncio.gather(*(before.asked("hello", deadline=ends) for _ in range(50)))

        async def over() -> bool:
            return (await stream_info(bus, TRUNK)).now > ends

        await wait_until(over, "the deadline to pass")
        async with routed(bus) as platform:
            for key in keys:
                error = (await platform.answer(key)).error
                assert error is not None
                assert error.code == "deadline_passed"
                assert kinds(await fold(bus, key.everything)) == ["request", "cancel", "answer"]


async def test_the_runs_that_it_asked_for_end_with_it(bus: Bus) -> None:
    asking = Agent("asking", delegates=["sleeper"])

    @asking.flow
    async def handle(run: Run) -> str:
        return await run.ask("sleeper", "wait for me")

    async with routed(bus, router_run_seconds=4) as platform, platform.run(asking, sleeper()):
        answer, _ = await platform.ask("go", agent="asking")
        assert "it waited for agent sleeper, whom it had asked" in answer
        child = await only_child(bus)
        assert (await platform.answer(child)).error is not None


async def test_nobody_begins_with_it(bus: Bus) -> None:
    """A worker is registered and does not take it: its process hangs, or all it may hold is something else."""
    async with routed(bus, router_queue_seconds=0.5) as platform:
        await platform.announce(AgentCard(agent="plain", worker="hangs", beat_seconds=60))
        answer, events = await platform.ask("hello")
    assert answer == (
        "queue_timeout: Nobody began with the run within 0.5 s: "
        "the workers of agent plain (1 registered) were busy with other runs."
    )
    assert kinds(events) == ["request", "task", "cancel", "answer"]


async def test_nobody_is_there_to_begin_with_it(bus: Bus) -> None:
    key = RunKey.checked(new_run_id(), new_conversation_id())
    async with routed(bus, router_queue_seconds=0.5) as platform:
        await append(bus, key.step("task", "gone"), Task(text="hello"))
        error = (await platform.answer(key)).error
    assert error is not None
    assert (error.code, "no worker of agent gone is registered" in error.message) == ("queue_timeout", True)
    assert "trunkline run" in error.hint


async def test_a_question_whose_turn_has_come_waits_no_longer_for_a_first_agent(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "PATIENCE", 1000)
    async with routed(bus, router_queue_seconds=1) as platform:
        key = await platform.asked("hello")
        await append(bus, key.step("note", ROUTER), Note(what=WAITING))
        error = (await platform.answer(key)).error
    assert error is not None
    assert error.code == "queue_timeout"


async def test_a_delegated_run_whose_asker_was_never_there_ends_too(bus: Bus) -> None:
    key = RunKey.checked(new_run_id(), new_conversation_id())
    parent = Parent(run=new_run_id(), agent="nobody", step="1")
    async with routed(bus, router_queue_seconds=0.5) as platform:
        await append(bus, key.step("task", "ghost"), Task(text="hello", parent=parent))
        error = (await platform.answer(key)).error
    assert error is not None
    assert error.code == "queue_timeout"


async def test_a_run_with_which_somebody_has_begun_has_all_its_time(bus: Bus) -> None:
    """Its code may take long and write nothing meanwhile."""
    agent = Agent("thinks")

    @agent.flow
    async def handle(run: Run) -> str:
        await asyncio.Event().wait()
        return "never"

    async with (
        routed(bus, router_queue_seconds=3, router_run_seconds=5) as platform,
        platform.run(agent, settings=WorkerSettings(drain_seconds=0)),
    ):
        answer, _ = await platform.ask("think")
    assert answer.startswith("deadline_passed: ")


async def test_with_several_routers_there_is_one_answer(bus: Bus) -> None:
    async with (
        routed(bus, router_run_seconds=1) as platform,
        routed(bus, router_run_seconds=1),
        routed(bus, router_run_seconds=1),
        platform.run(sleeper()),
    ):
        keys = await asyncio.gather(*(platform.asked("wait") for _ in range(20)))
        for key in keys:
            await platform.answer(key)
        for key in keys:
            facts = [event.fact for event in await fold(bus, key.everything)]
            assert [type(fact) for fact in facts if isinstance(fact, Answer | Cancel)] == [Cancel, Answer]


class Silent:
    """A model that never replies."""

    async def complete(self, _query: ModelQuery, _on_text: Callable[[str], None]) -> ModelReply:
        await asyncio.Event().wait()
        raise AssertionError("never")

    async def close(self) -> None:
        pass


def undaunted() -> Agent:
    """An agent that has an answer for whatever goes wrong with its model."""
    agent = Agent("undaunted", fallback=Say("Ask later."))

    @agent.flow
    async def handle(run: Run) -> str:
        try:
            return (await run.model("hello")).text
        except Exception as error:  # noqa: BLE001  # that is the point
            return f"caught {error}"

    return agent


async def test_a_worker_that_sees_it_first_says_the_same_as_the_router(bus: Bus) -> None:
    """There is no router, so it is the worker's answer; and the agent's code cannot have another one."""
    key = RunKey.checked(new_run_id(), new_conversation_id())
    ends = (await stream_info(bus, TRUNK)).now + timedelta(seconds=0.5)
    async with working(bus, [undaunted()], Silent(), lambda _: (PAID,)):
        await append(bus, key.step("task", "undaunted"), Task(text="hello", first=True, deadline=ends))
        error = await failure(bus, key)
    assert error.code == "deadline_passed"
    assert error.message == f"The run's time was up while agent undaunted waited for the model {PAID}."
    assert error.hint == HINTS["deadline_passed"]
    assert kinds(await fold(bus, key.everything)) == ["task", "prompt", "model", "answer"]


async def test_whoever_goes_on_knows_from_the_log_that_it_has_passed(bus: Bus) -> None:
    """By the clock of this worker there is plenty of time."""
    key = RunKey.checked(new_run_id(), new_conversation_id())
    ends = (await stream_info(bus, TRUNK)).now + timedelta(hours=1)
    cut_off = Failure(code="deadline_passed", message="Late.", hint="Hurry.", data={"spent": True, "run_over": True})
    await append(bus, key.step("task", "undaunted"), Task(text="hello", deadline=ends))
    await append(bus, key.step("model", "undaunted", "1"), Model(model=PAID, input_hash="", error=cut_off))
    async with working(bus, [undaunted()], Silent(), lambda _: (PAID,)):
        error = await failure(bus, key)
    assert (error.code, error.message, error.hint) == ("deadline_passed", "Late.", "Hurry.")


async def failure(bus: Bus, key: RunKey) -> Failure:
    """In which a run ended, once it has."""
    found: list[Failure] = []

    async def ended() -> bool:
        facts = [event.fact for event in await fold(bus, key.everything)]
        found[:] = [fact.error for fact in facts if isinstance(fact, Answer) and fact.error]
        assert not any(isinstance(fact, Answer) and fact.error is None for fact in facts), facts[-1]
        return bool(found)

    await wait_until(ended, f"a failure of run {key.run}")
    return found[0]


async def only_child(bus: Bus) -> RunKey:
    """The one run that was delegated."""
    tasks = await fold(bus, "trunk.*.*.*.task.>")
    return next(RunKey.of(event.subject) for event in tasks if isinstance(event.fact, Task) and event.fact.parent)
