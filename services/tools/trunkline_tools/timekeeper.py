"""Timers: messages that were scheduled come back when they are due.

A call of `timer` is a run that sleeps: it gets its result. An approval that nobody decided in time is decided: no.
A schedule may fire twice or late; it only nudges. The fact that it leads to is fenced like every other.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import msgspec

from trunkline.bus import Bus, Lease, LeaseLoop, append, read_event
from trunkline.bus.consumers import of_timers_due, of_timers_set
from trunkline.bus.dead import parking
from trunkline.bus.timers import schedule
from trunkline.contracts.codec import decode, decode_fact
from trunkline.contracts.errors import BadMessage, InvalidArguments
from trunkline.contracts.messages import Approval, Call, Decision, Fact, Failure, Result
from trunkline.contracts.subjects import TIMER, RunKey, Subject, parse_due
from trunkline.run.ending import fail_call

LONGEST_SLEEP = timedelta(days=30)


class _Scheduled(msgspec.Struct):
    """What was scheduled; a publisher may have left out that it is a call."""

    kind: str = "call"


@contextlib.asynccontextmanager
async def keeping_time(bus: Bus, *, slots: int = 64, drain_seconds: float = 20.0) -> AsyncIterator[None]:
    """Serve timers while inside."""
    park = parking(bus, "timers", partial(fail_call, bus))

    async def lay_down(lease: Lease) -> None:
        event = await read_event(bus, lease.message)
        if not isinstance(event.fact, Call):
            raise BadMessage(f"{lease.message.subject} is not a call.")
        key, call, step = RunKey.of(event.subject), event.fact, event.subject.step
        try:
            due = event.at + _seconds(call)
        except InvalidArguments as error:
            refused = Result(tool=TIMER, turn=call.turn, input_hash=call.input_hash, error=Failure.of(error))
            await append(bus, key.step("result", call.agent, step), refused)
        else:
            await schedule(bus, key, call.agent, step, due, event.raw)
        await lease.ack()

    async def wake(lease: Lease) -> None:
        await append(bus, *_due(lease.message.subject, lease.message.data))
        await lease.ack()

    setting = LeaseLoop(bus, of_timers_set(), lay_down, park=park, slots=slots, drain_seconds=drain_seconds)
    waking = LeaseLoop(bus, of_timers_due(), wake, park=park, slots=slots, drain_seconds=drain_seconds)
    async with setting.running(), waking.running():
        yield


def _due(subject: str, data: bytes) -> tuple[Subject, Fact]:
    """What is to be recorded now. Raises BadSubject, BadMessage."""
    key, name, step = parse_due(subject)
    match decode_fact(decode(data, _Scheduled).kind, data):
        case Call() as call:
            return key.step("result", name, step), Result(tool=TIMER, turn=call.turn, input_hash=call.input_hash)
        case Approval() as asked:
            refused = Decision(verdict="denied", by=TIMER, arguments_hash=asked.arguments_hash)
            return key.step("decision", name, step), refused
    raise BadMessage(f"{subject} is not a timer.")


def _seconds(call: Call) -> timedelta:
    """How long to sleep. Raises InvalidArguments."""
    seconds = call.arguments.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise InvalidArguments(
            f"A run cannot sleep for {str(seconds)[:40]} seconds.", "Give a finite number of seconds from 0."
        )
    return timedelta(seconds=min(seconds, LONGEST_SLEEP.total_seconds()))
