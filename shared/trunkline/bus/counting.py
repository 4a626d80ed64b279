"""Counters (ADR-49): the server adds, so that whoever adds is told a total that includes all who came before.

A counter is a subject of a stream that allows it; its last message bears the total, each message what it added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec
import orjson

from trunkline.bus.append import PublishError
from trunkline.bus.fold import END_OF_BATCH, NO_MESSAGES
from trunkline.bus.mailbox import status_of
from trunkline.bus.stored import StoredMessage, from_direct_get
from trunkline.contracts.errors import BadMessage, BusUnavailable

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

INCREMENT = "Nats-Incr"
ONCE = "Nats-Msg-Id"
WAIT_SECONDS = 5.0


class _Ack(msgspec.Struct):
    val: str = ""
    duplicate: bool = False
    error: PublishError | None = None


class _Total(msgspec.Struct):
    val: str


_ack = msgspec.json.Decoder(_Ack)
_total = msgspec.json.Decoder(_Total)


async def add(
    bus: Bus, counter: str, number: int, headers: Mapping[str, str], *, once: str = "", wait: float = WAIT_SECONDS
) -> int | None:
    """The counter's total with that. What was added under the name `once` before is not added again: that is None.

    Raises BusUnavailable; its kind Interrupted when nobody knows whether it was added.
    """
    sent = {**headers, INCREMENT: f"{number:+}"} | ({ONCE: once} if once else {})
    reply = await bus.mailbox.request(counter, b"", headers=sent, wait=wait)
    ack = _ack.decode(reply.data)
    if ack.error is not None:
        raise BusUnavailable(f"{counter} cannot be added to: {ack.error.description}.", "See nats-server's log.")
    return None if ack.duplicate else int(ack.val)


async def last_entries(bus: Bus, stream: str, counters: Iterable[str]) -> list[StoredMessage]:
    """The last message of each that was ever added to, from whichever replica is near. Raises BusUnavailable."""
    body = orjson.dumps({"multi_last": list(counters)})
    replies, end = await bus.mailbox.collect(f"$JS.API.DIRECT.GET.{stream}", body, wait=WAIT_SECONDS)
    if status_of(end) not in (END_OF_BATCH, NO_MESSAGES):
        raise BusUnavailable(f"{stream} cannot be read: {(end.headers or {}).get('Description', '')}.", "Try again.")
    return [from_direct_get(reply) for reply in replies]


def total_of(message: StoredMessage) -> int:
    """Of the counter when this was its last message. Raises BadMessage."""
    try:
        return int(_total.decode(message.data).val)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadMessage(f"message {message.sequence} of {message.subject} bears no total: {error}.") from error


def added_by(message: StoredMessage) -> int:
    """Raises BadMessage."""
    try:
        return int((message.headers or {})[INCREMENT])
    except (KeyError, ValueError) as error:
        raise BadMessage(f"message {message.sequence} of {message.subject} adds nothing: {error}.") from error
