"""How far a reader of the log has come, kept for the one that comes after it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import orjson

from trunkline.bus.fold import NO_MESSAGES
from trunkline.bus.mailbox import status_of
from trunkline.bus.streams import stream_info
from trunkline.contracts.codec import decode, encode
from trunkline.contracts.errors import BadMessage, BusUnavailable
from trunkline.contracts.subjects import TRUNK

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

MARKS = "marks"


class Mark(msgspec.Struct, frozen=True):
    """Whoever reads the log, or another stream, that was created at `log` may begin behind `sequence`."""

    sequence: int
    log: datetime


async def read_mark(bus: Bus, reader: str, stream: str = TRUNK) -> Mark:
    """When there is none that fits the log that is there now, its beginning: behind what was imported, which is work
    of another log. Raises BusUnavailable.
    """
    info = await stream_info(bus, stream)
    nothing = Mark(info.imported_up_to, info.created)
    reply = await bus.mailbox.request(f"$JS.API.DIRECT.GET.KV_{MARKS}.$KV.{MARKS}.{reader}", b"")
    if status_of(reply) == NO_MESSAGES:
        return nothing
    try:
        found = decode(reply.data, Mark)
    except BadMessage:
        return nothing
    return found if found.log == info.created and found.sequence <= info.last_sequence else nothing


async def keep_mark(bus: Bus, reader: str, mark: Mark) -> None:
    """Raises BusUnavailable."""
    reply = await bus.mailbox.request(f"$KV.{MARKS}.{reader}", encode(mark))
    if error := orjson.loads(reply.data).get("error"):
        raise BusUnavailable(f"The mark of {reader} was refused: {error.get('description')}.")
