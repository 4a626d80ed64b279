"""A run that was begun by other code goes to a worker that still has it: the delivered message changes hands.

Whoever holds a message's reply subject answers for it, so nothing but the message need be sent. Until somebody has
room for it, whoever gives it keeps it; when the taker dies, it is delivered again like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec
import structlog
from nats.aio.msg import Msg

from trunkline.bus import Bus, Lease, LeaseLoop
from trunkline.contracts.codec import decode, encode
from trunkline.contracts.errors import BusUnavailable, WireViolation
from trunkline.contracts.subjects import handover

if TYPE_CHECKING:
    from collections.abc import Sequence

log = structlog.get_logger("trunkline.worker")

TAKEN = b"taken"
NO_ROOM = b"no room"
WAIT_SECONDS = 2.0
OFFER_AGAIN_SECONDS = 1.0
MOST_OFFERS = 60


class Handed(msgspec.Struct, frozen=True):
    """A delivery as it was received."""

    subject: str
    reply: str
    data: bytes
    headers: dict[str, str]


async def hand_over(bus: Bus, agent: str, workers: Sequence[str], lease: Lease) -> bool:
    """Whether one of `workers` has taken the message. Waits while all who answer are busy, and nobody else gets it."""
    for _ in range(MOST_OFFERS):
        said = await _offer(bus, agent, workers, lease)
        if said != NO_ROOM:
            return said == TAKEN
        await asyncio.sleep(OFFER_AGAIN_SECONDS)
    return False


async def _offer(bus: Bus, agent: str, workers: Sequence[str], lease: Lease) -> bytes:
    """TAKEN by one of them, NO_ROOM when one only has no room, or nothing."""
    message = lease.message
    handed = encode(Handed(message.subject, lease.reply, message.data, dict(message.headers or {})))
    said = b""
    for worker in workers:
        with contextlib.suppress(BusUnavailable):
            reply = await bus.mailbox.request(handover(agent, worker), handed, wait=WAIT_SECONDS)
            if reply.data == TAKEN:
                return TAKEN
            said = reply.data
    return said


@contextlib.asynccontextmanager
async def taking_over(bus: Bus, agent: str, worker: str, loop: LeaseLoop) -> AsyncIterator[None]:
    """Take what others hand over while inside."""

    async def take(message: Msg) -> None:
        try:
            handed = decode(message.data, Handed)
        except WireViolation as error:
            log.warning("not a message to take over", action="bad_handover", reason=str(error))
            return
        delivered = Msg(
            _client=bus.client, subject=handed.subject, reply=handed.reply, data=handed.data, headers=handed.headers
        )
        await bus.client.publish(message.reply, TAKEN if loop.take(delivered) else NO_ROOM)

    subscription = await bus.client.subscribe(handover(agent, worker), cb=take)
    try:
        yield
    finally:
        with contextlib.suppress(Exception):
            await subscription.unsubscribe()
