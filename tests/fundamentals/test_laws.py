"""The laws of the log, each broken by the failure that it is there for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.fundamentals.conftest import CountingModel, Platform, kinds
from trunkline import Agent, Run
from trunkline.bus import Lease, LeaseLoop, append, fold
from trunkline.bus.cancels import Cancels
from trunkline.bus.consumers import of_agent, of_tool
from trunkline.bus.dead import parking
from trunkline.contracts.dialog import ModelQuery, ModelReply, ToolSpec
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Approval, Call, Decision, Note, Prompt, Request, Result, Started, Task
from trunkline.contracts.subjects import RunKey
from trunkline.run.run import Surroundings
from trunkline.worker import WorkerSettings, working
from trunkline.worker.turn import Worker
from trunkline_tools.app import tools_service
from trunkline_tools.service_settings import ToolsSettings

QUICK = WorkerSettings(ack_wait=1.0, drain_seconds=0.0)


@dataclass
class StuckModel(CountingModel):
    """Takes the question, and answers when it is let go."""

    free: asyncio.Event = field(default_factory=asyncio.Event)

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        self.asked.append(query)
        await self.free.wait()
        return await self.model.complete(query, on_text)


def a_request() -> RunKey:
    return RunKey.checked(new_run_id(), new_conversation_id())


async def until_answered(platform: Platform, key: RunKey, seconds: float = 15) -> list[str]:
    async def answered() -> bool:
        return "answer" in kinds(await fold(platform.bus, key.everything))

    await wait_until(answered, "the answer", seconds=seconds)
    return kinds(await fold(platform.bus, key.everything))


async def test_a_worker_that_dies_in_a_model_call_is_taken_over_and_the_attempt_is_seen(platform: Platform) -> None:
    agent, stuck, key = Agent("plain"), StuckModel(), a_request()
    async with working(platform.bus, [agent], stuck, lambda name: (f"offline:{name}",), settings=QUICK):
        await append(platform.bus, key.step("request", "router"), Request(text="hello"))
        await wait_until(lambda: len(stuck.asked) == 1, "the first worker paid")
    async with platform.run(agent, settings=QUICK):
        found = await until_answered(platform, key)
    assert found == ["request", "task", "prompt", "prompt", "note", "model", "answer"]
    events = await fold(platform.bus, key.everything)
    prompts = [event.fact for event in events if isinstance(event.fact, Prompt)]
    assert [(prompt.attempt, prompt.delivery) for prompt in prompts] == [(1, 1), (2, 2)]
    assert [event.fact.what for event in events if isinstance(event.fact, Note)] == ["takeover"]
    assert len(platform.model.asked) == 1


async def test_a_worker_that_dies_between_turns_leaves_nothing_to_pay_again(platform: Platform, tmp_path: Path) -> None:
    """The first turn is recorded, then everybody is gone; whoever comes next goes on with the second."""
    agent = Agent("flow", tools=["add"])

    @agent.flow
    async def handle(run: Run) -> str:
        await run.model("once")
        return f"{await run.call('add', a=1, b=1)}"

    key = a_request()
    await append(platform.bus, key.step("request", "router"), Request(text="go"))
    async with platform.run(agent, settings=QUICK):
        pass
    async with platform.run(agent, settings=QUICK):
        await until_answered(platform, key)
    assert len(platform.model.asked) == 1


async def test_two_workers_never_pay_for_one_turn(platform: Platform) -> None:
    """Both hold the same delivery's work: the second finds the attempt opened, and drops everything."""
    agent, key = Agent("plain"), a_request()
    await append(platform.bus, key.step("request", "router"), Request(text="hello"))
    async with platform.run(agent, settings=QUICK):
        await until_answered(platform, key)
        opened = await append(
            platform.bus,
            key.step("prompt", "plain", "1-1"),
            Prompt(model="m", input_hash="", attempt=1, carrier=1, delivery=1),
        )
    assert not opened.own
    assert len(platform.model.asked) == 1


async def test_a_call_with_effects_that_was_started_and_has_no_result_is_for_a_person_to_decide(
    platform: Platform, tmp_path: Path
) -> None:
    key, book = a_request(), tmp_path / "book"
    await append(platform.bus, key.step("started", "deposit", "1-1"), Started(executor="gone", delivery=1))
    call = Call(agent="flow", arguments={"amount": 5, "file": str(book)})
    await append(platform.bus, key.step("call", "deposit", "1"), call)
    await _all_acked(platform, "tool-deposit")
    asked = (await fold(platform.bus, key.everything))[-1].fact
    assert isinstance(asked, Approval)
    assert (asked.reason, asked.arguments, asked.agent) == ("in_doubt", call.arguments, "flow")
    assert not book.exists()
    decision = Decision(verdict="done", by="ada", arguments_hash=asked.arguments_hash, value="it was done")
    await append(platform.bus, key.step("decision", "deposit", "doubt-1-1"), decision)
    await wait_for_kinds(platform, key, "result")
    result = (await fold(platform.bus, key.everything))[-1].fact
    assert isinstance(result, Result)
    assert (result.value, book.exists()) == ("it was done", False)


async def test_a_recorded_result_is_not_computed_again(platform: Platform, tmp_path: Path) -> None:
    key, book = a_request(), tmp_path / "book"
    await append(platform.bus, key.step("result", "flow", "1"), Result(tool="deposit", value="earlier"))
    await append(platform.bus, key.step("started", "deposit", "1-1"), Started(executor="gone", delivery=1))
    await append(
        platform.bus, key.step("call", "deposit", "1"), Call(agent="flow", arguments={"amount": 5, "file": str(book)})
    )
    async with asyncio.timeout(10):
        await _all_acked(platform, "tool-deposit")
    results = [event.fact for event in await fold(platform.bus, key.everything) if isinstance(event.fact, Result)]
    assert [result.value for result in results] == ["earlier"]
    assert not book.exists()


async def test_a_result_that_is_there_when_its_call_comes_again_is_not_computed_again(
    platform: Platform, tmp_path: Path
) -> None:
    """An executor recorded the result and died before its acknowledgement."""
    key, count, file = a_request(), tmp_path / "count", tmp_path / "tally.py"
    file.write_text(TALLY)

    async def record_and_die(lease: Lease) -> None:
        await append(platform.bus, key.step("result", "flow", "1"), Result(tool="tally", value=1))
        await lease.retry(0.0)

    async with LeaseLoop(platform.bus, of_tool("tally"), record_and_die, park=parking(platform.bus, "x")).running():
        await append(platform.bus, key.step("call", "tally", "1"), Call(agent="flow", arguments={"file": str(count)}))
        await wait_for_kinds(platform, key, "result")
    tools = tools_service(ToolsSettings(nats_url=platform.bus.url, tool_files=[file], mcp=False, timers=False))
    async with tools.work(platform.bus):
        await _all_acked(platform, "tool-tally")
    assert not count.exists()


TALLY = """
from trunkline import tool

@tool
def tally(file: str) -> int:
    "Leave a mark."
    with open(file, "a") as marks:
        marks.write("x")
    return 1
"""


async def wait_for_kinds(platform: Platform, key: RunKey, kind: str) -> None:
    async def there() -> bool:
        return kind in kinds(await fold(platform.bus, key.everything))

    await wait_until(there, f"a {kind}")


async def _all_acked(platform: Platform, consumer: str) -> None:
    async def idle() -> bool:
        info = await platform.bus.api(f"CONSUMER.INFO.TRUNK.{consumer}")
        return bool(info["num_ack_pending"] == 0 and info["num_pending"] == 0 and info["delivered"]["consumer_seq"])

    await wait_until(idle, f"{consumer} has nothing left")


async def test_only_the_last_result_of_a_turn_goes_on(platform: Platform) -> None:
    """Five results wake a worker five times; the flow runs from the top only for the first task and the last result."""
    agent, begun = Agent("flow", tools=["double"]), 0

    @agent.flow
    async def handle(run: Run) -> str:
        nonlocal begun
        begun += 1
        return f"{sum(await asyncio.gather(*(run.call('double', number=n) for n in range(5))))}"

    async with platform.run(agent):
        answer, _ = await platform.ask("go")
        await _all_acked(platform, "agent-flow")
    assert answer == "20"
    assert begun == 2


async def test_the_router_decides_once_whatever_it_is_asked_again(platform: Platform) -> None:
    key = a_request()
    await append(platform.bus, key.step("task", "elsewhere"), Task(), whoever=True)
    async with platform.run(Agent("plain")):
        await append(platform.bus, key.step("request", "router"), Request(text="hello"))
        await _all_acked(platform, "router")
    tasks = [event for event in await fold(platform.bus, key.everything) if isinstance(event.fact, Task)]
    assert [event.subject.name for event in tasks] == ["elsewhere"]


async def test_a_turn_whose_carrier_comes_again_is_the_same_turn(platform: Platform, tmp_path: Path) -> None:
    """Two calls were issued, one has returned, the worker died before its acknowledgement."""
    agent, key = Agent("flow", tools=["double"]), a_request()

    @agent.flow
    async def handle(run: Run) -> str:
        one, two = await asyncio.gather(run.call("double", number=1), run.sleep(2.5))
        return f"{one} {two}"

    async def issue_and_die(lease: Lease) -> None:
        worker = Worker(platform.bus, agent, platform.model, await surroundings_of(platform, agent), Cancels(), "w1")
        lease.ack = _never  # type: ignore[method-assign]  # the worker dies before it says that it is done
        await worker.handle(lease)
        await wait_for_kinds(platform, key, "result")
        await lease.retry(0.0)

    loop = LeaseLoop(platform.bus, of_agent("flow", ack_wait=1.0), issue_and_die, park=parking(platform.bus, "x"))
    async with loop.running():
        task = Task(text="go", first=True)
        await append(platform.bus, key.step("task", "flow"), task)
        await wait_for_kinds(platform, key, "result")
        await wait_until(lambda: loop.busy == 0, "the first worker is gone")
    async with platform.run(agent, settings=QUICK):
        await until_answered(platform, key)
    answers = [event.fact for event in await fold(platform.bus, key.everything) if isinstance(event.fact, Answer)]
    assert [(answer.text, answer.error) for answer in answers] == [("2 None", None)]


async def _never() -> None:
    """An acknowledgement that nobody sends."""


async def surroundings_of(platform: Platform, agent: Agent) -> Surroundings:
    async def there(_: object) -> bool:
        return True

    async def no_specs(_: object) -> list[ToolSpec]:
        return []

    return Surroundings(lambda name: (name,), no_specs, there, there)


class BadModel(CountingModel):
    """Ends as client libraries should not."""

    def __init__(self, failure: BaseException | str) -> None:
        super().__init__()
        self._failure = failure

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        self.asked.append(query)
        if isinstance(self._failure, BaseException):
            raise self._failure
        on_text(self._failure)
        return ModelReply(model=query.model, text=self._failure)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (asyncio.CancelledError("a leaked scope"), "model_failed"),
        (KeyError("a bug"), "model_failed"),
        ("half a face: \ud83d", "half a face: ?"),
    ],
)
async def test_what_was_paid_ends_in_a_fact_whatever_the_client_does(
    platform: Platform, failure: BaseException | str, expected: str
) -> None:
    platform.model = BadModel(failure)
    async with platform.run(Agent("plain"), settings=QUICK):
        answer, events = await platform.ask("hello")
    assert expected in answer
    assert kinds(events).count("model") == 1
    assert len(platform.model.asked) == 1


async def test_code_that_leaves_or_cancels_itself_is_a_failure_of_the_run(platform: Platform) -> None:
    leaver, canceller = Agent("leaver"), Agent("canceller")

    @leaver.flow
    async def leave(run: Run) -> str:
        sys.exit(3)

    @canceller.flow
    async def cancel(run: Run) -> str:
        raise asyncio.CancelledError

    async with platform.run(leaver, canceller, settings=QUICK):
        left, _ = await platform.ask("go", agent="leaver")
        cancelled, _ = await platform.ask("go", agent="canceller")
    assert "called sys.exit(3)" in left
    assert "cancelled itself" in cancelled
