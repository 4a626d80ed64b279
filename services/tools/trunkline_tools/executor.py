"""The executor decides and acts: it takes a tool's calls, runs each in a sandbox, and records what it came to.

What is to be done follows from the log alone (`call_state`), so whoever gets a message after a crash does the same.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property

import structlog

from trunkline.bus import Bus, Lease, Recorded, append, fold, last, read_event
from trunkline.bus.cancels import Cancels
from trunkline.bus.clock import ServerClock
from trunkline.bus.streams import server_now
from trunkline.contracts.attempts import attempt_of, check_step, started_step
from trunkline.contracts.codec import Event
from trunkline.contracts.errors import BadMessage, Superseded
from trunkline.contracts.messages import Call, Decision, Failure, Result, Started
from trunkline.contracts.registry import ToolCard
from trunkline.contracts.subjects import TRUNK, RunKey
from trunkline_tools import refusals
from trunkline_tools.asking import arguments_hash, ask_first, ask_what_became
from trunkline_tools.call_state import AskFirst, CallState, Finish, Leave, Resolve, Run, ended, next_action, state_of
from trunkline_tools.reconciling import note_reconciled, reconciled
from trunkline_tools.sandbox.contract import Outcome, Sandbox
from trunkline_tools.trying import Trying

log = structlog.get_logger("trunkline.tools")

APPROVAL_SECONDS = 3600.0
BEGIN_SECONDS = 5.0
"""Within which an attempt must begin after its `started` was asked for: a process that was frozen leaves it. That is
long enough for an acknowledgement that was lost, and asked for again.
"""
OVER_SECONDS = BEGIN_SECONDS + 3.0
"""How long after its time-out an attempt is over for certain, also in an executor that nobody hears of any more."""
RECORD_SECONDS = 600.0
"""How long to hold on to a result while the bus is away: without it, what was done would be in doubt."""
EFFECT_UNKNOWN = frozenset({"hung", "flooded", "exited", "killed", "cancelled"})
"""Reasons of failures in which the tool itself said nothing about what it did."""


@dataclass(frozen=True)
class Executor:
    """Runs one tool. It holds the bus; the tool's code never does. `approval_seconds`: how long a person may take."""

    bus: Bus
    card: ToolCard
    sandbox: Sandbox
    cancels: Cancels
    clock: ServerClock
    approval_seconds: float = APPROVAL_SECONDS

    async def handle(self, lease: Lease) -> None:
        """Raises WireViolation, BusUnavailable; Superseded when somebody else is at it."""
        event = await read_event(self.bus, lease.message)
        with self.cancels.of(event.subject.run) as stop:
            await self._handle(event, lease, stop)

    async def _handle(self, event: Event, lease: Lease, stop: asyncio.Event) -> None:
        """`stop` is set when it is heard that the run is to stop, from before the log was looked at."""
        called = await self._call_of(event)
        if called is None:
            await lease.ack()
            return
        if lease.fresh and called is event and self.card.repeatable and not self.card.approve:
            state = _state(called, [])
        else:
            state = await self._look(called, lease.sequence)
        outcome = await self._do(state, lease, stop)
        if outcome is not None:
            await self._record(state, outcome)
        if not lease.settled:
            await lease.ack()

    async def _call_of(self, event: Event) -> Event | None:
        """The call that the message is about; None for a decision about no call. Raises BadMessage."""
        if isinstance(event.fact, Call):
            check_step(event.subject.step)
            return event
        if not isinstance(event.fact, Decision):
            raise BadMessage(f"{event.subject} is neither a call nor a decision.")
        step, _ = attempt_of(event.subject.kind, event.subject.step)
        found = await last(self.bus, str(RunKey.of(event.subject).step("call", event.subject.name, step)))
        if found is None:
            log.warning("a decision about no call", action="decision_dropped", subject=str(event.subject))
        return found

    async def _look(self, called: Event, at_least: int) -> CallState:
        """What the log says, at least up to that message; whether there is a result, as the leader has it."""
        key = RunKey.of(called.subject)
        state = _state(called, await fold(self.bus, key.everything, at_least=at_least))
        target = key.step("result", state.call.agent, called.subject.step)
        state.finished = state.finished or await last(self.bus, str(target)) is not None
        return state

    async def _do(self, state: CallState, lease: Lease, stop: asyncio.Event) -> Outcome | None:
        """What the call came to; None when that is for others to say, or for later."""
        digest = arguments_hash(self.card, state) if state.decided else ""
        now = self.clock.now()
        match next_action(self.card, state, holding=lease.sequence, digest=digest, now=now):
            case Leave():
                return None
            case Finish(value=value, error=error):
                return Outcome(value=value, error=error, isolation=self.card.isolation)
            case AskFirst():
                await ask_first(self.bus, self.card, state, now + timedelta(seconds=self.approval_seconds))
                return None
            case Resolve(attempt=attempt):
                return await self._resolve(state, attempt, lease, stop)
            case Run() if self.card.repeatable:
                return await self._trying.run(state, stop)
            case Run(attempt=attempt):
                return await self._attempt(state, attempt, lease, stop)

    async def _attempt(self, state: CallState, attempt: int, lease: Lease, stop: asyncio.Event) -> Outcome | None:
        """Run a tool that must not be run twice; the attempt before is known not to have happened."""
        if (seconds := await self._seconds_left(state)) > 0:
            await lease.retry(seconds)
            return None
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        mark = await self._start(state, attempt, lease.delivery)
        if not mark.own and lease.fresh and not state.started:
            return await self._do(await self._look(state.event, mark.sequence), lease, stop)
        if not mark.own:
            raise Superseded(f"attempt {attempt} of {self.card.tool} was begun by somebody else")
        if clock() - asked_at > BEGIN_SECONDS:
            raise Superseded(f"attempt {attempt} of {self.card.tool} would begin too late")
        outcome = await self._trying.run(state, stop)
        if outcome.error and outcome.error.data.get("reason") in EFFECT_UNKNOWN:
            return await self._cleared_up(state, attempt, outcome, outcome.error)
        return outcome

    async def _start(self, state: CallState, attempt: int, delivery: int) -> Recorded:
        """Law 2: `started` stands on the log before the effect."""
        subject = state.event.subject
        fact = Started(executor=self.card.executor, delivery=delivery, attempt=attempt, isolation=self.card.isolation)
        place = RunKey.of(subject).step("started", subject.name, started_step(subject.step, attempt))
        return await append(self.bus, place, fact)

    async def _seconds_left(self, state: CallState) -> float:
        """For how long the newest attempt may still be under way, in an executor that nobody hears of.

        By the server's clock, which has stamped `started`: this machine's may be wrong.
        """
        if not state.started:
            return 0.0
        over = state.started[state.attempt].at + timedelta(seconds=self.card.timeout_seconds + OVER_SECONDS)
        return (over - await server_now(self.bus, TRUNK)).total_seconds()

    async def _resolve(self, state: CallState, attempt: int, lease: Lease, stop: asyncio.Event) -> Outcome | None:
        """An attempt was begun by somebody who left no result."""
        seconds = await self._seconds_left(state)  # before it is looked for: what had not happened then may since
        found = await reconciled(self._trying, self.card, state)
        if found is None:
            await ask_what_became(self.bus, self.card, state, attempt)
            return None
        if not found.done and seconds > 0:
            await lease.retry(seconds)
            return None
        await note_reconciled(self.bus, self.card, state, attempt, done=found.done)
        if found.done:
            return found.outcome
        if refused := ended(self.card.tool, state, self.clock.now()):
            return Outcome(error=refused, isolation=self.card.isolation)
        return await self._attempt(state, attempt + 1, lease, stop)

    async def _cleared_up(self, state: CallState, attempt: int, outcome: Outcome, failure: Failure) -> Outcome:
        """An attempt of our own was ended, or died: its failure says what is known of its effect."""
        found = await reconciled(self._trying, self.card, state)
        if found is None:
            await ask_what_became(self.bus, self.card, state, attempt)
            return replace(outcome, error=refusals.may_have_happened(failure))
        await note_reconciled(self.bus, self.card, state, attempt, done=found.done)
        return found.outcome if found.done else replace(outcome, error=refusals.did_not_happen(failure))

    async def _record(self, state: CallState, outcome: Outcome) -> None:
        subject, call = state.event.subject, state.call
        result = Result(
            tool=self.card.tool,
            turn=call.turn,
            input_hash=call.input_hash,
            value=outcome.value,
            error=outcome.error,
            duration_ms=outcome.duration_ms,
            resources=outcome.resources,
            isolation=outcome.isolation,
            executor=self.card.executor,
            result_tokens=self.card.result_tokens,
        )
        place = RunKey.of(subject).step("result", call.agent, subject.step)
        written = await append(self.bus, place, result, wait=RECORD_SECONDS)
        if not written.own:
            log.warning("somebody else was first", action="result_dropped", subject=str(subject))

    @cached_property
    def _trying(self) -> Trying:
        return Trying(self.bus, self.card, self.sandbox, self.clock)


def _state(called: Event, events: list[Event]) -> CallState:
    if not isinstance(called.fact, Call):
        raise BadMessage(f"{called.subject} is not a call.")
    return state_of(called, called.fact, events)
