"""What the log says of one call, and what an executor has to do about it. Pure: no I/O, no clock.

Law 5. A tool that may be repeated is run again when its result is missing. One that may not says `started` before each
attempt, and the next attempt needs this one to be known not to have happened: from the tool's reconcile function, or
from a person. Each call has one message that answers for it, its carrier: the call itself, then the newest decision
about it; whoever holds an older one has nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from trunkline.contracts.attempts import attempt_of
from trunkline.contracts.codec import Event
from trunkline.contracts.messages import Answer, Approval, Call, Cancel, Decision, Failure, Note, Result, Started
from trunkline.contracts.registry import ToolCard
from trunkline_tools import refusals

TOOLS = "tools"
"""Who notes what executors do."""
RETRY = "retry-"


@dataclass(slots=True)
class CallState:
    """The fold of a call's messages. What is asked and decided is by attempt: 0 is whether it may run at all.

    `unasked` are decisions that stand there before anybody asked: they count for nothing, and nobody can decide anew.
    """

    event: Event
    call: Call
    finished: bool = False
    answered: bool = False
    cancel: Cancel | None = None
    started: dict[int, Event] = field(default_factory=dict)
    asked: dict[int, tuple[Event, Approval]] = field(default_factory=dict)
    decided: dict[int, tuple[Event, Decision]] = field(default_factory=dict)
    unasked: dict[int, Decision] = field(default_factory=dict)
    tries: int = 0

    @property
    def attempt(self) -> int:
        """The newest one; 0 before the first."""
        return max(self.started, default=0)

    @property
    def carrier(self) -> int:
        """The sequence of the message that answers for the call now."""
        return max([self.event.sequence, *(event.sequence for event, _ in self.decided.values())])


def state_of(event: Event, call: Call, events: Iterable[Event] = ()) -> CallState:
    """`events` are those of the call's run."""
    state = CallState(event, call)
    for each in sorted(events, key=lambda found: found.sequence):
        _take(state, each)
    return state


@dataclass(frozen=True, slots=True)
class Leave:
    """There is nothing to do, or somebody else does it."""


@dataclass(frozen=True, slots=True)
class AskFirst:
    """A person must say whether it may run."""


@dataclass(frozen=True, slots=True)
class Run:
    """This attempt is to be made."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Resolve:
    """Whether this attempt had its effect is not known."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Finish:
    """The result is known without running anything: `value`, any JSON value, or `error`."""

    value: object = None
    error: Failure | None = None


Action = Leave | AskFirst | Run | Resolve | Finish


def next_action(card: ToolCard, state: CallState, *, holding: int, digest: str, now: datetime) -> Action:
    """What to do for who holds the message with sequence `holding`. `digest` is the hash of the arguments."""
    if state.finished or holding != state.carrier:
        return Leave()
    if state.attempt and not card.repeatable:
        return _after_attempt(card, state, digest, now)
    if refused := ended(card.tool, state, now):
        return Finish(error=refused)
    asked_for = 0 in state.decided or 0 in state.unasked  # by an executor whose file said that a person must decide
    return _before_first(card, state, digest, now) if card.approve or asked_for else Run(1)


def ended(tool: str, state: CallState, now: datetime) -> Failure | None:
    """Why nobody wants the call to be run any more; None when somebody does."""
    if state.cancel:
        return refusals.cancelled(tool, state.cancel)
    if state.answered:
        return refusals.run_ended(tool)
    if state.call.deadline and now > state.call.deadline:
        return refusals.deadline_passed(tool, state.event.at, now)
    return None


def _before_first(card: ToolCard, state: CallState, digest: str, now: datetime) -> Action:
    if 0 in state.unasked:
        return Finish(error=refusals.not_decided(card.tool, state.unasked[0]))
    if 0 not in state.decided:
        return AskFirst()
    event, decision = state.decided[0]
    _, asked = state.asked[0]
    if decision.arguments_hash != digest or decision.verdict not in ("approved", "denied"):
        return Finish(error=refusals.not_decided(card.tool, decision))
    if (asked.expires and event.at >= asked.expires) or (decision.until and now > decision.until):
        return Finish(error=refusals.approval_expired(card.tool))
    if decision.verdict == "denied":
        return Finish(error=refusals.denied(card.tool, decision))
    return Run(1)


def _after_attempt(card: ToolCard, state: CallState, digest: str, now: datetime) -> Action:
    attempt = state.attempt
    if attempt in state.unasked:
        return Finish(error=refusals.in_doubt(card.tool, state.unasked[attempt]))
    if attempt not in state.decided:
        return Leave() if attempt in state.asked else Resolve(attempt)
    _, decision = state.decided[attempt]
    if decision.arguments_hash != digest or decision.verdict not in ("done", "not_done", "retry"):
        return Finish(error=refusals.in_doubt(card.tool, decision))
    if decision.verdict == "done":
        return Finish(value=decision.value)
    if decision.verdict == "not_done":
        return Finish(error=refusals.not_done(card.tool, decision))
    if refused := ended(card.tool, state, now):
        return Finish(error=refused)
    return Run(attempt + 1)


def _take(state: CallState, event: Event) -> None:
    match event.fact:
        case Answer():
            state.answered = True
        case Cancel() as cancel:
            state.cancel = cancel
        case Note(what="retry") if event.subject.name == TOOLS:
            prefix = f"{RETRY}{state.event.subject.step}-"
            number = event.subject.step.removeprefix(prefix)
            if number != event.subject.step and number.isdecimal():
                state.tries = max(state.tries, int(number))
        case Result() if event.subject.step == state.event.subject.step:
            state.finished = True
        case Started() | Approval() | Decision() if event.subject.name == state.event.subject.name:
            _take_attempt(state, event)


def _take_attempt(state: CallState, event: Event) -> None:
    step, attempt = attempt_of(event.subject.kind, event.subject.step)
    if step != state.event.subject.step:
        return
    match event.fact:
        case Started():
            state.started[attempt] = event
        case Approval() as asked:
            state.asked[attempt] = (event, asked)
        case Decision() as decision if attempt in state.asked:
            state.decided[attempt] = (event, decision)
        case Decision() as decision:
            state.unasked[attempt] = decision
