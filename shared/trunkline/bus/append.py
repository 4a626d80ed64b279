"""Law 1: one fact, one name, written once."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import structlog

from trunkline.bus.fold import last
from trunkline.bus.mailbox import Interrupted
from trunkline.bus.objects import offload
from trunkline.bus.trouble import Refused, explained, refused, say_trouble, say_well
from trunkline.contracts.codec import Event, encode
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.ids import new_event_id

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus
    from trunkline.contracts.messages import Fact
    from trunkline.contracts.subjects import Subject

log = structlog.get_logger("trunkline.bus")

EXPECTED_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"
CONFLICTS = frozenset({10071, 10164})
"""Wrong last sequence; the same on a replicated stream, where the other message may be under way yet."""
STORE_FAILED = 10077
ONE_PER_SUBJECT = "maximum messages per subject exceeded"
TROUBLE_SECONDS = 5.0
"""Without success until it is said."""
_FENCE = {EXPECTED_SEQUENCE: "0"}


class PublishError(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""

    @property
    def conflict(self) -> bool:
        return self.err_code in CONFLICTS or (self.err_code == STORE_FAILED and self.description == ONE_PER_SUBJECT)


class PublishAck(msgspec.Struct):
    seq: int = 0
    error: PublishError | None = None


_ack = msgspec.json.Decoder(PublishAck)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where the fact stands. `event` is somebody else's when they were first; None when it is our own."""

    sequence: int
    event: Event | None = None

    @property
    def own(self) -> bool:
        return self.event is None


async def append(
    bus: Bus,
    subject: Subject,
    fact: Fact,
    *,
    whoever: bool = False,
    alone_in: str = "",
    attempt_wait: float = 2.0,
    wait: float = 30.0,
) -> Recorded:
    """Write `fact` under `subject`, unless something stands there already.

    With `whoever`, the step may exist only once under any name: used where the name is what is being decided. With
    `alone_in`, a filter of subjects that has this one in it, nothing else may stand under any of those.
    A lost acknowledgement is ambiguous, so the same event is published again, until `wait` seconds have passed.
    Raises BusUnavailable; its kind Refused at once when the log is full.
    """
    fact = fact if fact.id else msgspec.structs.replace(fact, id=new_event_id())
    fence = alone_in or (subject.any_name if whoever else str(subject))
    loop = asyncio.get_running_loop()
    began = loop.time()
    pause = 0.05
    while True:
        try:
            written = await _attempt(bus, subject, fact, fence, wait=attempt_wait)
        except Refused as error:
            bus.trouble = str(error)
            raise
        except BusUnavailable as error:
            waited = loop.time() - began
            if waited > wait:
                raise await explained(bus, error) from error
            if waited > TROUBLE_SECONDS and not bus.trouble:
                say_trouble(bus, await explained(bus, error))
            log.info("publishing again", action="append_again", subject=str(subject), reason=error.what)
            await asyncio.sleep(0 if isinstance(error, Interrupted) else pause * _jitter())
            pause = min(pause * 2, 1.0)
        else:
            say_well(bus)
            return written


async def _attempt(bus: Bus, subject: Subject, fact: Fact, fence: str, *, wait: float) -> Recorded:
    payload = await offload(bus, encode(fact))
    headers = _FENCE if fence == str(subject) else _FENCE | {EXPECTED_SUBJECT: fence}
    reply = await bus.mailbox.request(str(subject), payload, headers=headers, wait=wait)
    ack = _ack.decode(reply.data)
    if ack.error is None:
        return Recorded(ack.seq)
    if ack.error.conflict:
        return await _who_was_first(bus, subject, fact, fence)
    raise refused(str(subject), ack.error.code, ack.error.err_code, ack.error.description)


async def _who_was_first(bus: Bus, subject: Subject, fact: Fact, fence: str) -> Recorded:
    event = await last(bus, fence)
    if event is None:
        raise BusUnavailable(f"{subject} is said to exist, and cannot be read.", "Try again.")
    return Recorded(event.sequence, None if event.fact.id == fact.id else event)


def _jitter() -> float:
    return random.uniform(0.5, 1.5)  # noqa: S311  # spreads retries, guards nothing
