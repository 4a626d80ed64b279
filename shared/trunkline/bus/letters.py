"""Dead letters as people deal with them: looked at, opened, thrown away."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from trunkline.bus.dead import DeadLetter
from trunkline.bus.newest import between, newest
from trunkline.bus.streams import stream_info
from trunkline.contracts.codec import decode
from trunkline.contracts.errors import BadMessage, BusUnavailable, NotFound
from trunkline.contracts.subjects import DEAD_LETTERS, OPS, TIMERS, TIMERS_SUBJECTS, TRUNK, dead

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus
    from trunkline.bus.stored import StoredMessage


@dataclass(frozen=True, slots=True)
class Letter:
    """`id` is its sequence in the stream OPS; `at` is when it was parked."""

    id: int
    at: datetime
    letter: DeadLetter


async def newest_letters(bus: Bus, *, service: str = "", limit: int) -> list[Letter]:
    """The newest first. Raises BusUnavailable."""
    return await newest(bus, OPS, _of(service), limit, _read)


async def letters(bus: Bus, *, service: str = "") -> AsyncIterator[Letter]:
    """All that there are now, the oldest first. Raises BusUnavailable."""
    info = await stream_info(bus, OPS)
    async for message in between(bus, OPS, _of(service), info.first_sequence, info.last_sequence):
        if letter := _read(message):
            yield letter


async def letter(bus: Bus, id: int) -> Letter:  # noqa: A002  # the field's own word
    """Raises NotFound, BusUnavailable."""
    if found := await _there(bus, id):
        return found
    raise NotFound(f"There is no dead letter {id}.", "`trunkline dead list` shows those that there are.")


async def drop(bus: Bus, letter: Letter) -> bool:
    """Throw it away; False when somebody else has. Raises BusUnavailable."""
    answer = await bus.api(f"STREAM.MSG.DELETE.{OPS}", {"seq": letter.id, "no_erase": True})
    error = answer.get("error")
    if error and await _there(bus, letter.id):
        raise BusUnavailable(f"Letter {letter.id} could not be dropped: {error.get('description')}.")
    return error is None


async def contents(bus: Bus, letter: DeadLetter) -> bytes | None:
    """The message's bytes, from the letter or, when they were too many for it, from where they stand; None when they
    are not there any more. Raises BusUnavailable.
    """
    if not letter.where:
        try:
            return base64.b64decode(letter.data, validate=True)
        except binascii.Error:
            return None
    stream = TIMERS if letter.subject.startswith(TIMERS_SUBJECTS.removesuffix(">")) else TRUNK
    async for message in between(bus, stream, letter.subject, letter.sequence, letter.sequence):
        return message.data
    return None


async def _there(bus: Bus, sequence: int) -> Letter | None:
    async for message in between(bus, OPS, DEAD_LETTERS, sequence, sequence):
        return _read(message)
    return None


def _of(service: str) -> str:
    return dead(service) if service else DEAD_LETTERS


def _read(message: StoredMessage) -> Letter | None:
    """None for what somebody else has put there."""
    try:
        return Letter(message.sequence, message.at, decode(message.data, DeadLetter))
    except BadMessage:
        return None
