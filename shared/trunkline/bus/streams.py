"""What a stream says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from trunkline.contracts.errors import BusUnavailable

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """`created` tells two streams of one name apart."""

    name: str
    created: datetime
    messages: int
    size: int
    last_sequence: int


async def stream_info(bus: Bus, name: str) -> StreamInfo:
    """Raises BusUnavailable when there is no such stream."""
    answer = await bus.api(f"STREAM.INFO.{name}")
    if error := answer.get("error"):
        raise BusUnavailable(
            f"The bus has no stream {name}: {error.get('description')}.",
            "Run `trunkline up`, or `trunkline provision`.",
        )
    state = answer["state"]
    return StreamInfo(
        name, datetime.fromisoformat(answer["created"]), state["messages"], state["bytes"], state["last_seq"]
    )
