"""A message as the log stores it, and the event that it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from trunkline.contracts.codec import Event, decode_fact
from trunkline.contracts.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nats.aio.msg import Msg

    from trunkline.bus.connection import Bus


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """`data` is what was published; `at` is the server's clock."""

    subject: str
    sequence: int
    at: datetime
    data: bytes
    headers: Mapping[str, str] | None = None


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
