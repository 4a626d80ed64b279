"""Reading the log: a run's facts in the order in which they were stored."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from trunkline.bus.mailbox import status_of
from trunkline.bus.stored import StoredMessage, from_direct_get, read_event
from trunkline.bus.streams import at_origin
from trunkline.contracts.codec import Event
from trunkline.contracts.errors import BusUnavailable, WireViolation
from trunkline.contracts.messages import Fact
from trunkline.contracts.subjects import TRUNK, Subject

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from trunkline.bus.connection import Bus

log = structlog.get_logger("trunkline.bus")

NOT_FOUND = 10037
END_OF_BATCH = "204"
NO_MESSAGES = "404"
TOO_MANY = "413"
PAGE = 1000


async def fold(bus: Bus, *filters: str, at_least: int = 0) -> list[Event]:
    """The events under `filters` (one per subject), oldest first; unreadable ones are reported and left out.

    The answer is at least as new as the message `at_least`: a replica that lags behind is asked again.
    Raises BusUnavailable when it stays behind for two seconds.
    """
    for pause in (0.0, 0.01, 0.05, 0.2, 0.5, 1.2):
        await asyncio.sleep(pause)
        messages = await _read(bus, filters)
        if not at_least or any(message.sequence >= at_least for message in messages):
            return await _events(bus, await at_origin(bus, TRUNK, messages))
    raise BusUnavailable(f"The log's replica is behind message {at_least}.", "Try again.")


async def last(bus: Bus, subject: str) -> Event | None:
    """The last message under `subject` as the stream's leader has it. Raises BusUnavailable, WireViolation."""
    answer = await bus.api(f"STREAM.MSG.GET.{TRUNK}", {"last_by_subj": subject})
    if error := answer.get("error"):
        if error.get("err_code") == NOT_FOUND:
            return None
        raise BusUnavailable(f"The log cannot be read: {error.get('description')}.")
    return await _tolerant(bus, _from_message_get(answer["message"]))


async def recorded(bus: Bus, subject: str) -> Event | None:
    """What stands under `subject`, from whichever replica is near: what is there is final, what is not may be yet.

    Raises BusUnavailable, WireViolation.
    """
    reply = await bus.mailbox.request(f"$JS.API.DIRECT.GET.{TRUNK}.{subject}", b"")
    if "Nats-Sequence" not in (reply.headers or {}):
        return None
    return await read_event(bus, from_direct_get(reply))


async def subject_at(bus: Bus, sequence: int) -> str:
    """Of the message that stands there, as the stream's leader has it; empty when none does. Raises BusUnavailable."""
    answer = await bus.api(f"STREAM.MSG.GET.{TRUNK}", {"seq": sequence})
    if error := answer.get("error"):
        if error.get("err_code") == NOT_FOUND:
            return ""
        raise BusUnavailable(f"The log cannot be read: {error.get('description')}.")
    return str(answer["message"]["subject"])


async def _read(bus: Bus, filters: Iterable[str]) -> list[StoredMessage]:
    body = orjson.dumps({"multi_last": list(filters)})
    replies, end = await bus.mailbox.collect(f"$JS.API.DIRECT.GET.{TRUNK}", body)
    if status_of(end) == TOO_MANY or _unsent(end):
        return await _read_paged(bus, filters)
    return sorted((from_direct_get(reply) for reply in replies), key=lambda message: message.sequence)


async def _read_paged(bus: Bus, filters: Iterable[str]) -> list[StoredMessage]:
    """More subjects or bytes than one answer may hold: page through each filter by sequence."""
    found: dict[int, StoredMessage] = {}
    for subject in filters:
        after = 0
        while True:
            body = orjson.dumps({"next_by_subj": subject, "seq": after + 1, "batch": PAGE})
            replies, end = await bus.mailbox.collect(f"$JS.API.DIRECT.GET.{TRUNK}", body, wait=10)
            page = [from_direct_get(reply) for reply in replies]
            found |= {message.sequence: message for message in page}
            if not _unsent(end) or not page:
                break
            after = page[-1].sequence
    return [found[sequence] for sequence in sorted(found)]


def _unsent(end: Msg) -> int:
    """How many messages the server has kept back, for it sends 64 MB at once. Raises BusUnavailable."""
    headers = end.headers or {}
    if status_of(end) not in (END_OF_BATCH, NO_MESSAGES):
        raise BusUnavailable(f"The log cannot be read: {headers.get('Description', status_of(end))}.")
    return int(headers.get("Nats-Num-Pending", 0))


async def _events(bus: Bus, messages: Iterable[StoredMessage]) -> list[Event]:
    events = []
    for message in messages:
        try:
            events.append(await read_event(bus, message))
        except WireViolation as error:
            log.warning("left out what cannot be read", action="unreadable", subject=message.subject, reason=str(error))
    return events


async def _tolerant(bus: Bus, message: StoredMessage) -> Event:
    """An event whatever its bytes are: for the question who was first, garbage counts as somebody else."""
    try:
        return await read_event(bus, message)
    except WireViolation:
        return Event(Subject.parse(message.subject), message.sequence, message.at, Fact(), message.data)


def _from_message_get(message: dict[str, Any]) -> StoredMessage:
    return StoredMessage(
        subject=message["subject"],
        sequence=message["seq"],
        at=datetime.fromisoformat(message["time"]),
        data=base64.b64decode(message.get("data", "")),
    )
