"""Poison: a message that cannot be handled is parked, with the reason, and its run is answered."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
import orjson
import structlog

from trunkline.bus.append import append
from trunkline.bus.stored import StoredMessage
from trunkline.contracts.codec import encode
from trunkline.contracts.errors import BadSubject, BusUnavailable, CallerMistake, TrunklineError, WireViolation
from trunkline.contracts.messages import Answer, Failure
from trunkline.contracts.subjects import CLIENT, RunKey, Subject, dead

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus
    from trunkline.bus.lease import Lease, Park

log = structlog.get_logger("trunkline.bus")

WHOLE_LIMIT = 256 * 1024
REASON_CHARACTERS = 4000
MESSAGE_ID = "Nats-Msg-Id"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """What stands under `ops.dead.<service>`. `data` is base64, byte for byte what was delivered: `size` bytes.

    When they are too many for a letter, it is empty, and `where` says which message of the log has them.
    """

    service: str
    subject: str
    sequence: int
    delivery: int
    code: str
    reason: str
    size: int
    data: str = ""
    where: str = ""


Tell = Callable[[StoredMessage, RunKey, Failure], Awaitable[None]]


def parking(bus: Bus, service: str, tell: Tell | None = None) -> Park:
    """How `service` gives up on a message: nothing is lost, and whoever waits for the run is told; by `tell`, else by
    the run's answer.
    """

    async def answer(_message: StoredMessage, key: RunKey, failure: Failure) -> None:
        await append(bus, key.step("answer", CLIENT), Answer(error=failure))

    async def park(lease: Lease, error: Exception) -> None:
        message = lease.message
        letter = _letter(service, lease, error)
        log.error("parked", action="parked", service=service, subject=message.subject, reason=letter.reason)
        await _post(bus, letter, _letter_id(service, message))
        try:
            key = RunKey.of(Subject.parse(message.subject))
        except BadSubject:
            return
        try:
            await (tell or answer)(message, key, _failure(letter))
        except (CallerMistake, WireViolation) as mistake:
            log.error("nobody can be told", action="parked_untold", subject=message.subject, reason=str(mistake))

    return park


def _letter(service: str, lease: Lease, error: Exception) -> DeadLetter:
    message = lease.message
    whole = len(message.data) <= WHOLE_LIMIT
    return DeadLetter(
        service=service,
        subject=message.subject,
        sequence=message.sequence,
        delivery=lease.delivery,
        code=error.code if isinstance(error, TrunklineError) else "internal_error",
        reason=(str(error) or repr(error))[:REASON_CHARACTERS],
        size=len(message.data),
        data=base64.b64encode(message.data).decode() if whole else "",
        where="" if whole else f"message {message.sequence}, {message.subject}",
    )


def _letter_id(service: str, message: StoredMessage) -> str:
    """The same for every delivery of a message, so that its letter is kept once. The time tells a log that was made
    anew from the old one.
    """
    stream = message.subject.partition(".")[0]
    return f"{service}-{stream}-{message.sequence}-{message.at.timestamp():.6f}"


async def _post(bus: Bus, letter: DeadLetter, letter_id: str) -> None:
    """Raises BusUnavailable unless the letter is kept."""
    reply = await bus.mailbox.request(dead(letter.service), encode(letter), headers={MESSAGE_ID: letter_id})
    if error := orjson.loads(reply.data).get("error"):
        raise BusUnavailable(
            f"The bus refused a dead letter of {letter.service}: {error.get('description')}.", "See the server's log."
        )


def _failure(letter: DeadLetter) -> Failure:
    return Failure(
        code=letter.code,
        message=f"This run could not go on: {letter.reason}",
        hint="`trunkline dead list` has the message. Correct it and ask again.",
    )
