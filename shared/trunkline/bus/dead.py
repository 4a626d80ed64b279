"""Poison: a message that cannot be handled is parked whole, with the reason, and its run is answered."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
import structlog

from trunkline.bus.append import append
from trunkline.contracts.codec import encode
from trunkline.contracts.errors import BadSubject, TrunklineError
from trunkline.contracts.messages import Answer, Failure
from trunkline.contracts.subjects import CLIENT, RunKey, Subject, dead

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus
    from trunkline.bus.lease import Lease, Park

log = structlog.get_logger("trunkline.bus")


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """What stands under `ops.dead.<service>`. `data` is base64, byte for byte what was delivered."""

    service: str
    subject: str
    sequence: int
    delivery: int
    code: str
    reason: str
    data: str


Tell = Callable[[RunKey, Failure], Awaitable[None]]


def parking(bus: Bus, service: str, tell: Tell | None = None) -> Park:
    """How `service` gives up on a message: nothing is lost, and whoever waits for the run is told; by `tell`, else by
    the run's answer.
    """

    async def answer(key: RunKey, failure: Failure) -> None:
        await append(bus, key.step("answer", CLIENT), Answer(error=failure))

    async def park(lease: Lease, error: Exception) -> None:
        message = lease.message
        letter = DeadLetter(
            service=service,
            subject=message.subject,
            sequence=message.sequence,
            delivery=lease.delivery,
            code=error.code if isinstance(error, TrunklineError) else "internal_error",
            reason=str(error) or repr(error),
            data=base64.b64encode(message.data).decode(),
        )
        log.error("parked", action="parked", service=service, subject=message.subject, reason=letter.reason)
        await bus.mailbox.request(dead(service), encode(letter))
        try:
            key = RunKey.of(Subject.parse(message.subject))
        except BadSubject:
            return
        await (tell or answer)(key, _failure(letter))

    return park


def _failure(letter: DeadLetter) -> Failure:
    return Failure(
        code=letter.code,
        message=f"This run could not go on: {letter.reason}",
        hint=f"The message is kept under {dead(letter.service)}. Correct it and ask again.",
    )
