"""The newest messages of a stream, which the server itself reads forwards only."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, TypeVar

import orjson

from trunkline.bus.stored import StoredMessage, from_direct_get
from trunkline.bus.streams import stream_info

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

T = TypeVar("T")

PAGE = 50
FIRST_LOOK = 200
"""Sequences that are looked through first; each further look goes four times as far back."""


async def newest(bus: Bus, stream: str, subject: str, limit: int, read: Callable[[StoredMessage], T | None]) -> list[T]:
    """The last `limit` messages under `subject`, the newest first, without those of which `read` makes nothing.

    Raises BusUnavailable.
    """
    info = await stream_info(bus, stream)
    found: list[T] = []
    last, reach = info.last_sequence, max(limit, FIRST_LOOK)
    while last >= info.first_sequence and len(found) < limit:
        first = max(info.first_sequence, last - reach + 1)
        kept: deque[T] = deque(maxlen=limit - len(found))
        async for message in between(bus, stream, subject, first, last):
            if (made := read(message)) is not None:
                kept.append(made)
        found += reversed(kept)
        last, reach = first - 1, reach * 4
    return found


async def between(bus: Bus, stream: str, subject: str, first: int, last: int) -> AsyncIterator[StoredMessage]:
    """The messages under `subject` from one sequence to another, in their order. Raises BusUnavailable."""
    while first <= last:
        body = orjson.dumps({"next_by_subj": subject, "seq": first, "batch": PAGE})
        replies, _ = await bus.mailbox.collect(f"$JS.API.DIRECT.GET.{stream}", body, wait=10)
        if not replies:
            return
        for message in map(from_direct_get, replies):
            if message.sequence > last:
                return
            yield message
            first = message.sequence + 1
