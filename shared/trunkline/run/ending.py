"""How a run ends: whoever asked is told, the user or the agent that delegated; also when a message had to be parked."""

from __future__ import annotations

from trunkline.bus import Bus, StoredMessage, append, fold, read_event
from trunkline.contracts.codec import input_hash
from trunkline.contracts.errors import (
    Cancelled,
    DeadlinePassed,
    InvalidName,
    OverBudget,
    RunFailed,
    UnknownPrice,
    WireViolation,
)
from trunkline.contracts.ids import RunId
from trunkline.contracts.messages import Answer, Call, Cancel, Failure, Parent, Result
from trunkline.contracts.subjects import CLIENT, RunKey, Subject
from trunkline.run.account import cost_of
from trunkline.run.state import RunState, state_of

HINTS = {
    "cancelled": "Ask again if that was a mistake.",
    "deadline_passed": "Ask again, with a later deadline if it needs longer.",
    "queue_timeout": "`trunkline agents` shows who is there, `trunkline run FILE.py` starts a worker. Then ask again.",
    "replaced": "The newer question is being answered.",
}

PASSED_ON = frozenset({OverBudget.code, UnknownPrice.code, DeadlinePassed.code, Cancelled.code, "queue_timeout"})
"""Codes of failures that are no matter of the agent in whose run they came up."""


async def end_run(bus: Bus, key: RunKey, failure: Failure, *, agent: str = "", at_least: int = 0) -> None:
    """End a run that cannot go on, unless it has ended. `agent`: where no task names it; `at_least`: the sequence of
    its newest message that we know of, for without its task a delegated run would be answered to the wrong one.

    Raises BusUnavailable.
    """
    state = state_of(key, await fold(bus, key.everything, at_least=at_least))
    parent = state.task.parent if state.task else None
    state.answer = state.answer or Answer(agent=agent or state.agent, parent=parent, error=failure, cost=cost_of(state))
    written = await append(bus, answer_subject(state), state.answer)
    if written.event and isinstance(written.event.fact, Answer):
        state.answer = written.event.fact
    if parent:
        await hand_up(bus, state, parent)


def cancelled(cancel: Cancel) -> Failure:
    """How a run ends that was told to stop: a person says who and perhaps why, the platform what the matter is."""
    hint = HINTS.get(cancel.code, "")
    if cancel.code != Cancelled.code:
        return Failure(code=cancel.code, message=cancel.reason, hint=hint)
    by = f" by {cancel.by}" if cancel.by else ""
    return Failure(code=cancel.code, message=f"The run was cancelled{by}.", hint=cancel.reason or hint)


def run_failed(failure: Failure, *, agent: str) -> RunFailed:
    """That a run by `agent`, to which another one delegated, ended in this failure. If nobody catches it, its code is
    the user's too, where that says what the user can do.
    """
    error = RunFailed(failure.message, failure.hint)
    error.data = {"agent": agent, **failure.data, "code": failure.code}
    if failure.code in PASSED_ON:
        error.code = failure.code
    return error


async def fail_call(bus: Bus, message: StoredMessage, key: RunKey, failure: Failure) -> None:
    """Give up a call: the agent that made it gets the failure as its result, and decides.

    A call that does not say who made it ends its run. Raises BusUnavailable.
    """
    failed = await _failed_call(bus, message, key, failure)
    if failed is None:
        await end_run(bus, key, failure)
    else:
        await append(bus, *failed)


async def _failed_call(
    bus: Bus, message: StoredMessage, key: RunKey, failure: Failure
) -> tuple[Subject, Result] | None:
    try:
        event = await read_event(bus, message)
        if not isinstance(event.fact, Call):
            return None
        call = event.fact
        target = key.step("result", call.agent, event.subject.step)
    except (WireViolation, InvalidName):
        return None
    return target, Result(tool=event.subject.name, turn=call.turn, input_hash=call.input_hash, error=failure)


def answer_subject(state: RunState) -> Subject:
    parent = state.task.parent if state.task else None
    return state.key.step("answer", parent.agent if parent else CLIENT)


async def hand_up(bus: Bus, state: RunState, parent: Parent) -> None:
    """A delegated run's answer is the result of the step that asked for it."""
    if state.answer is None:
        return
    key = RunKey(state.key.tenant, state.key.conversation, RunId(parent.run))
    result = Result(
        run=state.key.run,
        agent=state.agent,
        turn=parent.turn,
        input_hash=parent.input_hash or input_hash("ask", state.agent, state.question),
        value=None if state.answer.error else state.answer.text,
        error=state.answer.error,
        cost=state.answer.cost,
        reusable=state.answer.reusable,
    )
    await append(bus, key.step("result", parent.agent, parent.step), result)
