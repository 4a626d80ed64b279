"""What a stream says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from trunkline.bus.consumers import STREAM_NOT_FOUND
from trunkline.bus.stored import from_direct_get
from trunkline.contracts.errors import BusUnavailable

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """`created` tells two streams of one name apart; `first_at` and `last_at` are those of its messages.

    All times are by the server's clock, which shows `now`.
    """

    name: str
    created: datetime
    now: datetime
    messages: int
    size: int
    consumers: int
    last_sequence: int
    first_at: datetime
    last_at: datetime


async def stream_info(bus: Bus, name: str) -> StreamInfo:
    """Raises BusUnavailable, also when there is no such stream."""
    found = await find_stream(bus, name)
    if found is None:
        raise BusUnavailable(f"The bus has no stream {name}.", "Run `trunkline up`, or `trunkline provision`.")
    return found


async def find_stream(bus: Bus, name: str) -> StreamInfo | None:
    """None when there is no such stream. Raises BusUnavailable."""
    answer = await bus.api(f"STREAM.INFO.{name}")
    if error := answer.get("error"):
        if error.get("err_code") == STREAM_NOT_FOUND:
            return None
        raise BusUnavailable(f"Stream {name} cannot be read: {error.get('description')}.")
    return _read(name, answer)


async def sequence_before(bus: Bus, name: str, moment: datetime) -> int:
    """Of the last message that was stored before `moment`; 0 when there is none. Raises BusUnavailable."""
    info = await stream_info(bus, name)
    if not info.messages or moment > info.last_at:
        return info.last_sequence
    if moment <= info.first_at:  # ADR-31 counts nanoseconds, and takes the year 2300 for an early one
        return 0
    body = orjson.dumps({"batch": 1, "start_time": moment.isoformat(), "next_by_subj": ">"})
    replies, _ = await bus.mailbox.collect(f"$JS.API.DIRECT.GET.{name}", body)
    return from_direct_get(replies[0]).sequence - 1 if replies else info.last_sequence


def _read(name: str, answer: dict[str, Any]) -> StreamInfo:
    state = answer["state"]
    return StreamInfo(
        name=name,
        created=datetime.fromisoformat(answer["created"]),
        now=datetime.fromisoformat(answer["ts"]),
        messages=state["messages"],
        size=state["bytes"],
        consumers=state["consumer_count"],
        last_sequence=state["last_seq"],
        first_at=datetime.fromisoformat(state["first_ts"]),
        last_at=datetime.fromisoformat(state["last_ts"]),
    )
