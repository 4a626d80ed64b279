"""The checker itself: silent on a clean log, and it names the law of every log that was doctored."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from tests.chaos import clerk
from tests.chaos.checker import Law, World, check
from tests.chaos.log import Log, read_log, recorded_runs
from tests.chaos.run_log import RunLog, runs_of
from tests.conftest import wait_until
from tests.fundamentals.conftest import CountingModel, Platform
from trunkline import Agent, Client, Run
from trunkline.bus import Bus, append, provision
from trunkline.bus.roster import Roster
from trunkline.bus.stored import StoredMessage
from trunkline.contracts.codec import Event
from trunkline.contracts.dialog import ModelQuery, ModelReply
from trunkline.contracts.ids import StepName, new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Call, Fact, Model, Note, Prompt, Request, Result, Started, Turn
from trunkline.contracts.registry import AgentCard
from trunkline.contracts.subjects import ROUTER, RunKey
from trunkline.definitions import load_definitions
from trunkline.host.server import EmbeddedServer, free_port
from trunkline.worker import WorkerSettings, working
from trunkline_router.app import routing
from trunkline_router.classifiers.lexical import LexicalClassifier
from trunkline_router.deciding.routes import Routes
from trunkline_router.settings import RouterSettings
from trunkline_tools.app import tools_service
from trunkline_tools.service_settings import ToolsSettings

QUICK = WorkerSettings(ack_wait=1.0, drain_seconds=0.0)
chief = Agent("chief", tools=["look"], delegates=["clerk"])


@chief.flow
async def ask_around(run: Run) -> str:
    await run.model(f"{run.id} 1: who knows?")
    one, two = await asyncio.gather(run.call("look", number=1), run.call("look", number=2))
    return f"{one} {two} {await run.ask('clerk', 'Work on 10')}"


@dataclass
class Stuck(CountingModel):
    """Is paid, and never answers."""

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        self.asked.append(query)
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody resolves it")


@dataclass(frozen=True)
class Recording:
    """A log, and what was counted beside it."""

    log: Log
    world: World
    runs: list[RunKey] = field(default_factory=list)

    def run(self, agent: str) -> RunLog:
        return next(run for run in runs_of(self.log.events) if any(e.subject.name == agent for e in run.events))

    def with_events(self, events: Sequence[Event]) -> Recording:
        return replace(self, log=replace(self.log, events=tuple(sorted(events, key=lambda event: event.sequence))))

    def without(self, event: Event) -> Recording:
        return self.with_events([each for each in self.log.events if each is not event])

    def with_fact(self, event: Event, **changes: Any) -> Recording:
        doctored = replace(event, fact=msgspec.structs.replace(event.fact, **changes))
        return self.with_events([doctored if each is event else each for each in self.log.events])

    def moved(self, event: Event, sequence: float) -> Recording:
        """To a place between two others."""
        at = int(sequence * 2)
        spread = [replace(each, sequence=2 * each.sequence) for each in self.log.events if each is not event]
        return self.with_events([*spread, replace(event, sequence=at)])

    def with_world(self, **changes: Any) -> Recording:
        return replace(self, world=replace(self.world, **changes))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return asyncio.run(record(tmp_path_factory.mktemp("recording")))


async def record(folder: Path) -> Recording:
    """A run that is taken over in its first model call, and one that calls side by side and delegates."""
    file = folder / "clerk.py"
    shutil.copy(clerk.__file__, file)
    agent = load_definitions(file).agents[0]
    async with _platform(folder, file) as platform:
        first = RunKey.checked(new_run_id(), new_conversation_id())
        stuck = Stuck()
        async with working(platform.bus, [agent], stuck, lambda name: (f"offline:{name}",), settings=QUICK):
            request = Request(text="Work on 1", agent="clerk", first=True)
            await append(platform.bus, first.step("request", ROUTER), request)
            await wait_until(lambda: len(stuck.asked) == 1, "the first worker paid")
        async with platform.run(agent, chief, settings=QUICK):
            second = await platform.client.ask("go", agent="chief")
            answer = await _answered(platform.bus, first)
        asked = [*stuck.asked, *platform.model.asked]
        log = await read_log(platform.bus)
        runs = await recorded_runs(platform.bus)
    world = World(
        acked=frozenset({first.run, second.run}),
        told={first.run: answer, second.run: second.text},
        paid=_paid(asked),
        began=_marks(folder / "began"),
        effects=_marks(folder / "effects"),
        first={call: float(at) for call, _process, at in _lines(folder / "began")},
        writes=frozenset({"post"}),
        redelivered=0,
        ledger=[_row(message) for message in log.messages],
    )
    return Recording(log, world, runs)


@contextlib.asynccontextmanager
async def _platform(folder: Path, file: Path) -> AsyncIterator[Platform]:
    async with EmbeddedServer(folder / "bus", free_port()).running() as server, Bus.open(server.url) as bus:
        await provision(bus)
        routes = Routes(Roster(AgentCard), LexicalClassifier())
        tools = tools_service(ToolsSettings(nats_url=bus.url, tool_files=[file], mcp=False))
        async with routing(bus, routes, RouterSettings(nats_url=bus.url)), tools.work(bus):
            yield Platform(bus, Client(bus), routes)


async def _answered(bus: Bus, key: RunKey) -> str:
    async def there() -> bool:
        return any(event.subject.run == key.run for event in (await read_log(bus)).events if is_answer(event))

    await wait_until(there, "the answer of the run that was taken over", seconds=60)
    answers = [event for event in (await read_log(bus)).events if is_answer(event) and event.subject.run == key.run]
    assert isinstance(answers[0].fact, Answer)
    return answers[0].fact.text


def is_answer(event: Event) -> bool:
    return isinstance(event.fact, Answer)


def _paid(asked: Sequence[ModelQuery]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for query in asked:
        run, step = getattr(query.messages[-1], "text", "").partition(":")[0].split()
        steps = found.setdefault(run, {})
        steps[step] = steps.get(step, 0) + 1
    return found


def _marks(file: Path) -> dict[str, int]:
    calls = [call for call, *_ in _lines(file)]
    return {call: calls.count(call) for call in calls}


def _lines(file: Path) -> list[list[str]]:
    return [line.split() for line in file.read_text().splitlines()]


def _row(message: StoredMessage) -> dict[str, Any]:
    body = orjson.loads(message.data)
    return {"sequence": message.sequence, "subject": message.subject, "at": message.at.isoformat(), "body": body}


def first(run: RunLog, kind: type[Fact], at: int = 0) -> Event:
    return run.of(kind)[at][0]


def second_attempt(recording: Recording) -> Event:
    return next(event for event, prompt in recording.run("clerk").of(Prompt) if prompt.attempt == 2)


def a_write(recording: Recording) -> tuple[Event, Event]:
    """A call with effects, and where it was started."""
    run = recording.run("clerk")
    started = first(run, Started)
    return run.calls[started.subject.step.rpartition("-")[0]][0], started


def test_the_clean_log_breaks_no_law(recording: Recording) -> None:
    """And has what the doctors need: a takeover, an effect, calls side by side, a delegated run."""
    assert check(recording.log, recording.world) == []
    events = recording.log.events
    assert [event.fact.what for event in events if isinstance(event.fact, Note)] == ["takeover"]
    assert len(recording.runs) == 3
    assert any(isinstance(event.fact, Result) and event.fact.turn.of == 2 for event in events)


Doctor = Callable[[Recording], Recording]


def stored_again(found: Recording) -> Recording:
    again = replace(found.log.messages[3], sequence=len(found.log.messages) + 1)
    messages = (*found.log.messages, again)
    log = replace(found.log, messages=messages)
    return replace(found, log=log).with_world(ledger=[_row(each) for each in messages])


def another_started(found: Recording) -> Recording:
    _, started = a_write(found)
    other = replace(started, subject=replace(started.subject, name="look"))
    return found.with_events([*found.log.events, other])


def a_call_of_ours(found: Recording) -> str:
    call, _ = a_write(found)
    return f"{call.subject.run}-{call.subject.step}"


def opened_by(found: Recording, message: Event) -> Recording:
    return found.with_fact(first(found.run("clerk"), Prompt, 3), carrier=message.sequence)


def started_anew(found: Recording) -> Recording:
    """A second attempt, and nobody has said that the first one was not done."""
    _, started = a_write(found)
    step = StepName(started.subject.step.replace("-1", "-2"))
    again = replace(started, subject=replace(started.subject, step=step))
    return found.with_events([*found.log.events, again])


def paid_once_more(found: Recording) -> Recording:
    """At a step that has one prompt."""
    paid = {run: dict(steps) for run, steps in (found.world.paid or {}).items()}
    paid[found.run("clerk").key.run]["3"] += 1
    return found.with_world(paid=paid, redelivered=5)


def told_something_else(found: Recording) -> Recording:
    run = found.run("clerk").key.run
    return found.with_world(told=dict(found.world.told) | {run: "something else"})


def ledger_with(found: Recording, change: Callable[[list[dict[str, Any]]], object]) -> Recording:
    rows = [_row(message) for message in found.log.messages]
    change(rows)
    return found.with_world(ledger=rows)


DOCTORED: dict[str, tuple[Law, Doctor]] = {
    "a fact stands twice": (Law.WRITTEN_ONCE, stored_again),
    "a model's reply without its prompt": (
        Law.FACTS_FIRST,
        lambda found: found.without(first(found.run("chief"), Prompt)),
    ),
    "a prompt behind its model's reply": (
        Law.FACTS_FIRST,
        lambda found: found.moved(first(found.run("chief"), Prompt), first(found.run("chief"), Model).sequence + 0.5),
    ),
    "a call before the model asked for it": (
        Law.FACTS_FIRST,
        lambda found: found.moved(first(found.run("chief"), Call), first(found.run("chief"), Prompt).sequence + 0.5),
    ),
    "a tool with effects that never was started": (Law.FACTS_FIRST, lambda found: found.without(a_write(found)[1])),
    "a tool that began before it was started": (
        Law.FACTS_FIRST,
        lambda found: found.with_world(first={a_call_of_ours(found): a_write(found)[1].at.timestamp() - 0.001}),
    ),
    "a start that nobody called for": (Law.FACTS_FIRST, lambda found: found.without(a_write(found)[0])),
    "a model paid without a prompt": (Law.FACTS_FIRST, paid_once_more),
    "a turn opened by another message": (
        Law.CARRIER,
        lambda found: opened_by(found, first(found.run("clerk"), Call)),
    ),
    "a turn opened by the turn before": (Law.CARRIER, lambda found: opened_by(found, found.run("clerk").events[1])),
    "an attempt opened by the same delivery": (
        Law.DELIVERY,
        lambda found: found.with_fact(second_attempt(found), delivery=1),
    ),
    "an attempt that nobody explains": (Law.EXPLAINED, lambda found: found.without(first(found.run("clerk"), Note))),
    "a second start that nobody allowed": (Law.EXPLAINED, started_anew),
    "an attempt that is missing": (Law.EXPLAINED, lambda found: found.without(first(found.run("clerk"), Prompt))),
    "a model asked again though it had answered": (
        Law.NEVER_AGAIN,
        lambda found: found.moved(second_attempt(found), first(found.run("clerk"), Model).sequence + 0.5),
    ),
    "an effect that happened twice": (
        Law.NEVER_AGAIN,
        lambda found: found.with_world(effects=dict(found.world.effects or {}) | {a_call_of_ours(found): 2}),
    ),
    "a call that was started twice": (Law.NEVER_AGAIN, another_started),
    "more starts than takeovers": (
        Law.BOUNDED,
        lambda found: found.with_world(began=dict(found.world.began or {}) | {a_call_of_ours(found): 2}),
    ),
    "a result with another input": (
        Law.MATCHED,
        lambda found: found.with_fact(first(found.run("clerk"), Result), input_hash="0" * 32),
    ),
    "a result of another turn": (
        Law.MATCHED,
        lambda found: found.with_fact(first(found.run("chief"), Result), turn=Turn(number=7)),
    ),
    "a result that nobody asked for": (Law.MATCHED, lambda found: found.without(first(found.run("clerk"), Call))),
    "a run without an answer": (Law.ANSWERED, lambda found: found.without(first(found.run("clerk"), Answer))),
    "a run with two answers": (
        Law.ANSWERED,
        lambda found: found.with_events([*found.log.events, first(found.run("clerk"), Answer)]),
    ),
    "garbage that nobody speaks of": (Law.ANSWERED, lambda found: found.with_world(poisoned=frozenset({"garbage"}))),
    "an acknowledged request that is gone": (
        Law.ACKED,
        lambda found: found.with_world(acked=found.world.acked | {"lost"}),
    ),
    "a client that was told something else": (Law.ACKED, told_something_else),
    "an event that the ledger has not": (Law.LEDGER, lambda found: ledger_with(found, lambda rows: rows.pop(4))),
    "an event that the ledger has otherwise": (
        Law.LEDGER,
        lambda found: ledger_with(found, lambda rows: rows[4].update(body={})),
    ),
    "an event that only the ledger has": (
        Law.LEDGER,
        lambda found: ledger_with(found, lambda rows: rows.append(rows[0] | {"sequence": 9999})),
    ),
}


@pytest.mark.parametrize("doctored", DOCTORED)
def test_a_doctored_log_breaks_the_law_that_was_doctored(recording: Recording, doctored: str) -> None:
    law, doctor = DOCTORED[doctored]
    found = doctor(recording)
    assert law in {violation.law for violation in check(found.log, found.world)}
