"""A message as the log stores it, and the event that it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from trunkline.contracts.codec import Event, decode, decode_fact
from trunkline.contracts.errors import BadMessage
from trunkline.contracts.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nats.aio.msg import Msg

    from trunkline.bus.connection import Bus


ORIGIN = "Trunkline-Origin"
"""Header of an imported message: what it was on the log that it comes from. Anybody may write it, so it counts only
up to the sequence to which its stream says that it was imported."""


class Origin(msgspec.Struct, frozen=True):
    """When another log stored the message, and the headers that it had there."""

    at: datetime
    headers: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """`data` is what was published; `at` is the server's clock."""

    subject: str
    sequence: int
    at: datetime
    data: bytes
    headers: Mapping[str, str] | None = None

    @property
    def has_origin(self) -> bool:
        return self.headers is not None and ORIGIN in self.headers

    def at_origin(self) -> StoredMessage:
        """As the log had it from which it was imported."""
        try:
            origin = decode((self.headers or {}).get(ORIGIN, "").encode(), Origin)
        except BadMessage:
            return self
        return replace(self, at=origin.at, headers=origin.headers)


def from_direct_get(message: Msg) -> StoredMessage:
    """A reply of the direct get API, whose headers say which message it is (ADR-31)."""
    headers = message.headers or {}
    return StoredMessage(
        subject=headers["Nats-Subject"],
        sequence=int(headers["Nats-Sequence"]),
        at=datetime.fromisoformat(headers["Nats-Time-Stamp"]),
        data=message.data,
        headers=headers,
    )


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a delivery's reply subject says of it (ADR-15): how often the message has been delivered, its sequence in
    the stream and in the consumer, when it was stored, and how many messages are waiting behind it.
    """

    delivered: int
    sequence: int
    consumer_sequence: int
    nanoseconds: int
    pending: int

    @property
    def at(self) -> datetime:
        return _from_ns(self.nanoseconds)

    @classmethod
    def parse(cls, reply: str) -> Delivery:
        """`$JS.ACK.<stream>.<consumer>.…`, or the longer form with `<domain>.<account>` before the stream."""
        tokens = reply.split(".")
        first = 4 if len(tokens) == 9 else 6
        return cls(*map(int, tokens[first : first + 5]))


async def read_event(bus: Bus, message: StoredMessage) -> Event:
    """What the message says. Raises BadSubject or BadMessage; the payload is fetched when it was stored apart."""
    from trunkline.bus.objects import resolve

    subject = Subject.parse(message.subject)
    raw = await resolve(bus, message.data)
    return Event(subject, message.sequence, message.at, decode_fact(subject.kind, raw), raw)


def _from_ns(nanoseconds: int) -> datetime:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
