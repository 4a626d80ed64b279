"""What the server itself says of messages that nobody gets any more; kept in a stream, for the server says it once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from trunkline.bus.lease import PARKED
from trunkline.bus.newest import between, newest
from trunkline.contracts.codec import decode
from trunkline.contracts.errors import BadMessage
from trunkline.contracts.subjects import TIMERS, TRUNK

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus
    from trunkline.bus.stored import StoredMessage

ADVISORIES = "ADVISORIES"
_KINDS = {"MAX_DELIVERIES": "given up", "MSG_TERMINATED": "terminated"}
_SUBJECT = "$JS.EVENT.ADVISORY.CONSUMER"
_STREAMS = (TRUNK, TIMERS)
_AGE_SECONDS = 30 * 24 * 3600
_BYTES = 64 * 1024 * 1024


def stream() -> dict[str, Any]:
    """As the server's API spells it: a month's, and what is too much goes, the oldest first."""
    return {
        "name": ADVISORIES,
        "subjects": [f"{_SUBJECT}.{kind}.>" for kind in _KINDS],
        "allow_direct": True,
        "discard": "old",
        "max_age": _AGE_SECONDS * 1_000_000_000,
        "max_bytes": _BYTES,
    }


class _Said(msgspec.Struct, frozen=True):
    stream: str
    consumer: str
    stream_seq: int
    deliveries: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Advisory:
    """`kind`: `given up` when the consumer's deliveries were used up, `terminated` when whoever had it said so.

    `sequence` is the message's in `stream`; `message` is it, when it can be read.
    """

    id: int
    at: datetime
    kind: str
    stream: str
    consumer: str
    sequence: int
    deliveries: int
    reason: str
    message: StoredMessage | None = None


async def newest_advisories(bus: Bus, limit: int) -> list[Advisory]:
    """About our streams, the newest first, without those of messages that were parked: they have a letter.

    Raises BusUnavailable.
    """
    found = await newest(bus, ADVISORIES, ">", limit, _read)
    return [replace(advisory, message=await _message(bus, advisory)) for advisory in found]


def _read(message: StoredMessage) -> Advisory | None:
    try:
        said = decode(message.data, _Said)
    except BadMessage:
        return None
    if said.stream not in _STREAMS or said.reason == PARKED:
        return None
    return Advisory(
        id=message.sequence,
        at=message.at,
        kind=_KINDS.get(message.subject.removeprefix(f"{_SUBJECT}.").partition(".")[0], ""),
        stream=said.stream,
        consumer=said.consumer,
        sequence=said.stream_seq,
        deliveries=said.deliveries,
        reason=said.reason,
    )


async def _message(bus: Bus, advisory: Advisory) -> StoredMessage | None:
    async for message in between(bus, advisory.stream, ">", advisory.sequence, advisory.sequence):
        return message
    return None
