"""Reads a whole log, and what the world outside counted meanwhile, and says which laws were broken.

Everything is recomputed here from the log alone: nothing of the platform's own judgement is called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

import orjson

from tests.chaos.log import Log
from tests.chaos.run_log import RunLog, runs_of
from trunkline.bus.stored import StoredMessage
from trunkline.contracts.codec import Event
from trunkline.contracts.messages import (
    Answer,
    Prompt,
    Request,
    Result,
    Task,
)
from trunkline.contracts.subjects import CLIENT


class Law(StrEnum):
    """Which promise is broken; the number is the law's in the design."""

    WRITTEN_ONCE = "1: one fact, one name, written once"
    FACTS_FIRST = "2: facts before effects"
    CARRIER = "4: only the carrier opens a turn"
    DELIVERY = "4: a later delivery opens the next attempt"
    EXPLAINED = "5: every further attempt is explained"
    NEVER_AGAIN = "5: what is recorded is not paid or done again"
    BOUNDED = "5: extra calls and starts are at most the takeovers"
    MATCHED = "a result is that of its call"
    ANSWERED = "a run has one answer"
    ACKED = "what was acknowledged is on the log, and told as it stands there"
    LEDGER = "11: the ledger is the log"


@dataclass(frozen=True, slots=True)
class Violation:
    law: Law
    subject: str
    sequence: int
    sentence: str

    def __str__(self) -> str:
        return f"[{self.law}] {self.sequence} {self.subject}: {self.sentence}"


@dataclass(frozen=True)
class World:
    """What was counted outside the log. What is None was not counted.

    `acked`: runs whose request the bus had acknowledged. `poisoned`: runs of garbage, which end in a failure. `told`:
    what a client got for a run, its text or its failure's code. `paid`: model calls as the model counted them, by run,
    then by step. By call id, `began` and `effects`: how often tools began to run, and had their effect; `first`: when
    they first began, in Unix seconds. `writes`: tools that must not run twice. `redelivered`: deliveries of calls that
    were not their first. `ledger`: its events.
    """

    acked: frozenset[str] = frozenset()
    poisoned: frozenset[str] = frozenset()
    told: Mapping[str, str] = field(default_factory=dict)
    paid: Mapping[str, Mapping[str, int]] | None = None
    began: Mapping[str, int] | None = None
    effects: Mapping[str, int] | None = None
    first: Mapping[str, float] | None = None
    writes: frozenset[str] = frozenset()
    redelivered: int | None = None
    ledger: Sequence[Mapping[str, Any]] | None = None


def check(log: Log, world: World) -> list[Violation]:
    """Every broken law, in the order of the log."""
    found = [*_written_once(log.messages), *_ledger(log.messages, world.ledger)]
    runs = runs_of(log.events)
    for run in runs:
        for law in LAWS_OF_A_RUN:
            found += law(run, world)
    children = {str(run.key.run): run for run in runs}
    found += [violation for run in runs for violation in _matched(run, children)]
    found += _acked(log.events, world)
    found += _poisoned(log.events, world)
    found += _bounded(runs, world)
    return sorted(found, key=lambda violation: (violation.sequence, violation.law))


def _broken(law: Law, event: Event, sentence: str) -> Violation:
    return Violation(law, str(event.subject), event.sequence, sentence)


def _written_once(messages: Sequence[StoredMessage]) -> Iterator[Violation]:
    first: dict[str, int] = {}
    for message in messages:
        if first.setdefault(message.subject, message.sequence) != message.sequence:
            sentence = f"it stands at {first[message.subject]} already"
            yield Violation(Law.WRITTEN_ONCE, message.subject, message.sequence, sentence)


def _paid_after_prompt(run: RunLog, world: World) -> Iterator[Violation]:
    for step, (event, model) in run.models.items():
        opened = [prompt for prompt, fact in run.prompts.get(step, ()) if fact.attempt == model.attempt]
        if not any(prompt.sequence < event.sequence for prompt in opened):
            yield _broken(Law.FACTS_FIRST, event, f"no prompt of attempt {model.attempt} stands before it")
    for step, count in (world.paid or {}).get(run.key.run, {}).items():
        prompts = len(run.prompts.get(step, ()))
        if count > prompts:
            yield _broken(Law.FACTS_FIRST, run.events[0], f"step {step} was paid {count} times on {prompts} prompts")


def _called_after_model(run: RunLog, _: World) -> Iterator[Violation]:
    """While a model is asked, no turn is issued: the call could not know what the model says."""
    for event, _call in run.calls.values():
        for step, prompts in run.prompts.items():
            model = run.models.get(step)
            if prompts[0][0].sequence < event.sequence and not (model and model[0].sequence < event.sequence):
                yield _broken(Law.FACTS_FIRST, event, f"the model of step {step} was not recorded yet")


def _effect_after_started(run: RunLog, world: World) -> Iterator[Violation]:
    for step, starts in run.starts.items():
        for event, _started in starts:
            call = run.calls.get(step)
            if call is None or call[0].sequence > event.sequence or call[0].subject.name != event.subject.name:
                yield _broken(Law.FACTS_FIRST, event, "no call of this tool stands before it")
        began = (world.first or {}).get(f"{run.key.run}-{step}")
        if began is not None and began < starts[0][0].at.timestamp():
            yield _broken(Law.FACTS_FIRST, starts[0][0], "the tool had begun before")
    for event, result in run.of(Result):
        if result.tool in world.writes and result.error is None:
            starts = run.starts.get(event.subject.step, [])
            if not any(started.sequence < event.sequence for started, _ in starts):
                yield _broken(Law.FACTS_FIRST, event, f"{result.tool} has effects, and no `started` stands before it")
    for step in run.calls:
        effects = (world.effects or {}).get(f"{run.key.run}-{step}", 0)
        if effects and step not in run.starts:
            yield _broken(Law.FACTS_FIRST, run.calls[step][0], "it had its effect, and never was `started`")


def _only_the_carrier(run: RunLog, _: World) -> Iterator[Violation]:
    """The task carries the first turn, the last result of a turn the next one."""
    carrier, complete = 0, 0
    results: Counter[int] = Counter()
    for event in run.events:
        match event.fact:
            case Task() if not complete:
                carrier = event.sequence
            case Result(turn=turn):
                results[turn.number] += 1
                if results[turn.number] == turn.of and turn.number > complete:
                    carrier, complete = event.sequence, turn.number
            case Prompt(carrier=claimed) if claimed != carrier:
                yield _broken(Law.CARRIER, event, f"message {claimed} opened it, and the carrier was {carrier}")


def _attempts(run: RunLog, world: World) -> Iterator[Violation]:
    """A worker that opens an attempt while the reply is recorded may leave a prompt behind it; it must not pay then."""
    for step, prompts in run.prompts.items():
        model = run.models.get(step)
        before = sum(model is None or event.sequence < model[0].sequence for event, _ in prompts)
        paid = len(prompts) if world.paid is None else world.paid.get(run.key.run, {}).get(step, 0)
        for number, (event, prompt) in enumerate(prompts, start=1):
            if prompt.attempt != number or not event.subject.step.endswith(f"-{prompt.attempt}"):
                yield _broken(Law.EXPLAINED, event, f"it is attempt {prompt.attempt} where {number} was due")
            if number > 1 and (step, number) not in run.taken_over | run.retried:
                yield _broken(Law.EXPLAINED, event, "no note says why there is another attempt")
            if model and model[0].sequence < event.sequence and paid > before:
                yield _broken(Law.NEVER_AGAIN, event, f"the model's reply stood at {model[0].sequence} already")


def _deliveries_rise(run: RunLog, _world: World) -> Iterator[Violation]:
    """A worker that goes on after a failure of its own does so on the delivery that it has."""
    for step, prompts in run.prompts.items():
        for (_, before), (event, prompt) in pairwise(prompts):
            least = before.delivery + ((step, prompt.attempt) not in run.retried)
            if prompt.carrier != before.carrier or prompt.delivery < least:
                claimed = f"delivery {prompt.delivery} of message {prompt.carrier}"
                earlier = f"delivery {before.delivery} of message {before.carrier}"
                yield _broken(Law.DELIVERY, event, f"{claimed} opened it after {earlier}")


def _done_once(run: RunLog, world: World) -> Iterator[Violation]:
    for starts in run.starts.values():
        attempts = Counter(event.subject.step for event, _ in starts)
        for event, _started in starts:
            if attempts[event.subject.step] > 1:
                yield _broken(Law.NEVER_AGAIN, event, "another tool was started for this call")
    for step, starts in run.starts.items():
        for event, _started in starts:
            attempt = int(event.subject.step.rpartition("-")[2])
            if attempt > 1 and (step, attempt - 1) not in run.known_not_done:
                yield _broken(Law.EXPLAINED, event, f"nobody said that attempt {attempt - 1} was not done")
    for step, (event, _call) in run.calls.items():
        done = (world.effects or {}).get(f"{run.key.run}-{step}", 0)
        if done > 1:
            yield _broken(Law.NEVER_AGAIN, event, f"its effect happened {done} times")


def _answered(run: RunLog, _: World) -> Iterator[Violation]:
    answers, asked, tasks = run.of(Answer), run.of(Request), run.of(Task)
    if (asked or tasks) and not answers:
        yield _broken(Law.ANSWERED, run.events[0], "it has none")
    for event, _answer in answers[1:]:
        yield _broken(Law.ANSWERED, event, f"it has another one at {answers[0][0].sequence}")
    for event, _answer in answers if asked else ():
        if event.subject.name != CLIENT:
            yield _broken(Law.ANSWERED, event, "a client asked, and somebody else is answered")


def _matched(run: RunLog, runs: Mapping[str, RunLog]) -> Iterator[Violation]:
    """A result belongs to a call of its run, or to a run that its run delegated to, or it is a refusal."""
    for event, result in run.of(Result):
        step = event.subject.step
        call = run.calls.get(step)
        if call:
            asked = (call[0].sequence, call[1].agent, call[1].turn, call[1].input_hash)
        elif result.run in runs and (tasks := runs[result.run].of(Task)) and (parent := tasks[0][1].parent):
            asked = (tasks[0][0].sequence, parent.agent, parent.turn, parent.input_hash)
        elif result.error:
            continue
        else:
            yield _broken(Law.MATCHED, event, "nobody has asked for it")
            continue
        if asked[0] > event.sequence:
            yield _broken(Law.MATCHED, event, f"it was asked for only at {asked[0]}")
        if asked[1:] != (event.subject.name, result.turn, result.input_hash):
            yield _broken(Law.MATCHED, event, f"agent, turn or input are not those of the call at {asked[0]}")


def _acked(events: Sequence[Event], world: World) -> Iterator[Violation]:
    requested = {event.subject.run for event in events if isinstance(event.fact, Request)}
    for run in sorted(world.acked - requested):
        yield Violation(Law.ACKED, run, 0, "its request was acknowledged, and is not on the log")
    for event in events:
        if isinstance(event.fact, Answer) and (told := world.told.get(event.subject.run)) is not None:
            said = event.fact.error.code if event.fact.error else event.fact.text
            if told != said:
                yield _broken(Law.ACKED, event, f"the client was told {told[:60]!r}, the log says {said[:60]!r}")


def _poisoned(events: Sequence[Event], world: World) -> Iterator[Violation]:
    answers = {event.subject.run: event.fact for event in events if isinstance(event.fact, Answer)}
    for run in sorted(world.poisoned):
        if run not in answers:
            yield Violation(Law.ANSWERED, run, 0, "it is garbage, and nobody says so in an answer")


@dataclass(frozen=True, slots=True)
class Extra:
    """What was done more often than it was needed, and what may explain it."""

    paid: int
    started: int
    takeovers: int

    @classmethod
    def of(cls, runs: Sequence[RunLog], world: World) -> Extra:
        """Model calls as the model counted them, else as the prompts say; starts of tools as the tools counted them."""
        prompts = [len(each) for run in runs for each in run.prompts.values()]
        calls = prompts if world.paid is None else [n for steps in world.paid.values() for n in steps.values()]
        paid = sum(count - 1 for count in calls)
        started = sum(count - 1 for count in (world.began or {}).values())
        noted = sum(len(run.taken_over | run.retried) for run in runs)
        return cls(paid, started, noted + (world.redelivered or 0))


def _bounded(runs: Sequence[RunLog], world: World) -> Iterator[Violation]:
    extra = Extra.of(runs, world)
    if extra.paid + extra.started > extra.takeovers:
        sentence = f"{extra.paid} extra model calls and {extra.started} extra starts on {extra.takeovers} takeovers"
        yield Violation(Law.BOUNDED, "the whole log", 0, sentence)


def _ledger(messages: Sequence[StoredMessage], ledger: Sequence[Mapping[str, Any]] | None) -> Iterator[Violation]:
    """One by one: place, name, time and body."""
    if ledger is None:
        return
    kept = {int(row["sequence"]): row for row in ledger}
    for message in messages:
        row = kept.pop(message.sequence, None)
        if row is None:
            yield Violation(Law.LEDGER, message.subject, message.sequence, "the ledger does not have it")
        elif _as_kept(row) != (message.subject, message.at, _body(message.data)):
            yield Violation(Law.LEDGER, message.subject, message.sequence, "the ledger has something else in its place")
    for sequence, row in kept.items():
        yield Violation(Law.LEDGER, str(row["subject"]), sequence, "the ledger has it, and the log has not")


def _as_kept(row: Mapping[str, Any]) -> tuple[object, datetime, object]:
    return row["subject"], datetime.fromisoformat(str(row["at"])), row["body"]


def _body(data: bytes) -> object:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return data.decode(errors="replace")


LAWS_OF_A_RUN: tuple[Callable[[RunLog, World], Iterator[Violation]], ...] = (
    _paid_after_prompt,
    _called_after_model,
    _effect_after_started,
    _only_the_carrier,
    _attempts,
    _deliveries_rise,
    _done_once,
    _answered,
)
