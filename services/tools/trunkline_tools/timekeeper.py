"""Timers: a run that sleeps is woken by the bus, by a message that was scheduled when it lay down.

A schedule may fire twice or late; it only nudges. The result that it leads to is fenced like every fact.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

from trunkline.bus import Bus, Lease, LeaseLoop, append, read_event
from trunkline.bus.consumers import of_timers_due, of_timers_set
from trunkline.bus.dead import parking
from trunkline.bus.timers import schedule
from trunkline.contracts.codec import decode_fact
from trunkline.contracts.errors import BadMessage, InvalidArguments
from trunkline.contracts.messages import Call, Failure, Result
from trunkline.contracts.subjects import TIMER, RunKey, parse_due
from trunkline.run.ending import fail_call

LONGEST_SLEEP = timedelta(days=30)


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
        key, agent, step = parse_due(lease.message.subject)
        call = decode_fact("call", lease.message.data)
        if not isinstance(call, Call):
            raise BadMessage(f"{lease.message.subject} is not a timer.")
        slept = Result(tool=TIMER, turn=call.turn, input_hash=call.input_hash)
        await append(bus, key.step("result", agent, step), slept)
        await lease.ack()

    setting = LeaseLoop(bus, of_timers_set(), lay_down, park=park, slots=slots, drain_seconds=drain_seconds)
    waking = LeaseLoop(bus, of_timers_due(), wake, park=park, slots=slots, drain_seconds=drain_seconds)
    async with setting.running(), waking.running():
        yield


def _seconds(call: Call) -> timedelta:
    """How long to sleep. Raises InvalidArguments."""
    seconds = call.arguments.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise InvalidArguments(
            f"A run cannot sleep for {str(seconds)[:40]} seconds.", "Give a finite number of seconds from 0."
        )
    return timedelta(seconds=min(seconds, LONGEST_SLEEP.total_seconds()))
