"""What a stream says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from trunkline.bus.stored import StoredMessage, from_direct_get
from trunkline.contracts.errors import BusUnavailable

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

STREAM_NOT_FOUND = 10059
IMPORTED_UP_TO = "imported-up-to-sequence"
"""In the metadata of a stream whose messages up to there come from another log."""
UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """`created` tells two streams of one name apart; `first_at` and `last_at` are those of its messages.

    All times are by the server's clock, which shows `now`. `imported` is the sequence of the last message that comes
    from another log, 0 when none does; None while they are being imported, or when that broke off.
    """

    name: str
    created: datetime
    now: datetime
    messages: int
    size: int
    consumers: int
    first_sequence: int
    last_sequence: int
    first_at: datetime
    last_at: datetime
    imported: int | None = 0

    @property
    def imported_up_to(self) -> int:
        """Raises BusUnavailable while the import is unfinished."""
        if self.imported is None:
            raise BusUnavailable(
                f"An import into the stream {self.name} has not finished.",
                "Wait for it; when it broke off, `trunkline events import` begins anew.",
            )
        return self.imported


async def stream_info(bus: Bus, name: str) -> StreamInfo:
    """Raises BusUnavailable, also when there is no such stream."""
    found = await find_stream(bus, name)
    if found is None:
        raise BusUnavailable(f"The bus has no stream {name}.", "Run `trunkline up`, or `trunkline provision`.")
    return found


async def server_now(bus: Bus, name: str) -> datetime:
    """By the clock that stamps the stream's messages; this machine's may be wrong. Raises BusUnavailable."""
    answer = await bus.api(f"STREAM.INFO.{name}")
    if error := answer.get("error"):
        raise BusUnavailable(f"Stream {name} cannot be read: {error.get('description')}.")
    return datetime.fromisoformat(answer["ts"])


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
    imported = await _imported_before(bus, info, moment)
    if imported < info.imported_up_to:
        return imported
    if not info.messages or moment > info.last_at:
        return info.last_sequence
    if moment <= info.first_at:  # ADR-31 counts nanoseconds, and takes the year 2300 for an early one
        return imported
    body = orjson.dumps({"batch": 1, "start_time": moment.isoformat(), "next_by_subj": ">"})
    replies, _ = await bus.mailbox.collect(f"$JS.API.DIRECT.GET.{name}", body)
    return max(imported, from_direct_get(replies[0]).sequence - 1) if replies else info.last_sequence


async def at_origin(bus: Bus, stream: str, messages: Sequence[StoredMessage]) -> list[StoredMessage]:
    """What was imported, as the log had it from which it comes; the others as they are. Raises BusUnavailable."""
    if not any(message.has_origin for message in messages):
        return list(messages)
    imported = (await stream_info(bus, stream)).imported_up_to
    return [message.at_origin() if message.sequence <= imported else message for message in messages]


async def _imported_before(bus: Bus, info: StreamInfo, moment: datetime) -> int:
    """Of the last imported message that was stored there before `moment`; 0 when there is none.

    The server knows when it stored them, which says nothing; what they their own log said rises with the sequence.
    """
    low, high = info.first_sequence - 1, info.imported_up_to
    while low < high:
        middle = (low + high + 1) // 2
        found = await _next(bus, info.name, middle)
        if found is not None and found.sequence <= info.imported_up_to and found.at_origin().at < moment:
            low = max(middle, found.sequence)
        else:
            high = middle - 1
    return high if high >= info.first_sequence else 0


async def _next(bus: Bus, name: str, sequence: int) -> StoredMessage | None:
    """The first message that stands there or later."""
    body = orjson.dumps({"batch": 1, "seq": sequence, "next_by_subj": ">"})
    replies, _ = await bus.mailbox.collect(f"$JS.API.DIRECT.GET.{name}", body)
    return from_direct_get(replies[0]) if replies else None


def _imported(config: dict[str, Any]) -> int | None:
    said = (config.get("metadata") or {}).get(IMPORTED_UP_TO, "0")
    return int(said) if said.isdecimal() else None


def _read(name: str, answer: dict[str, Any]) -> StreamInfo:
    state = answer["state"]
    return StreamInfo(
        name=name,
        created=datetime.fromisoformat(answer["created"]),
        now=datetime.fromisoformat(answer["ts"]),
        messages=state["messages"],
        size=state["bytes"],
        consumers=state["consumer_count"],
        first_sequence=state["first_seq"],
        last_sequence=state["last_seq"],
        first_at=datetime.fromisoformat(state["first_ts"]),
        last_at=datetime.fromisoformat(state["last_ts"]),
        imported=_imported(answer["config"]),
    )
