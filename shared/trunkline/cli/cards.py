"""Who is registered now, by the server's clock: a card whose heartbeat stopped is late, then gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

from trunkline.cli.following import following
from trunkline.contracts.codec import decode
from trunkline.contracts.errors import BusUnavailable, WireViolation
from trunkline.contracts.registry import AgentCard, ToolCard

if TYPE_CHECKING:
    from trunkline.bus import Bus, StoredMessage

Card = TypeVar("Card", AgentCard, ToolCard)

LATE_BEATS = 3.0
GONE = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Present(Generic[Card]):
    """A card, and whether its heartbeat is overdue: then its process is being restarted, or dead."""

    card: Card
    late: bool


async def present(bus: Bus, bucket: str, type_: type[Card]) -> list[Present[Card]]:
    """A roster tells the time of what it hears itself; one look at the bucket has to go by when each card was stored.

    Raises BusUnavailable.
    """
    info = await bus.api(f"STREAM.INFO.KV_{bucket}")
    if error := info.get("error"):
        raise BusUnavailable(f"The registry {bucket} cannot be read: {error.get('description')}.")
    now = datetime.fromisoformat(info["ts"])
    found = (_seen(message, type_, now) for message in await _stored(bus, bucket))
    return [each for each in found if each is not None]


async def _stored(bus: Bus, bucket: str) -> list[StoredMessage]:
    messages: list[StoredMessage] = []
    async with following(bus, f"KV_{bucket}", latest=True) as batches:
        async for batch in batches:
            if not batch:
                break
            messages += batch
    return messages


def _seen(message: StoredMessage, type_: type[Card], now: datetime) -> Present[Card] | None:
    if message.headers and "KV-Operation" in message.headers:
        return None
    try:
        card = decode(message.data, type_)
    except WireViolation:
        return None
    age = now - message.at
    if age > max(GONE, timedelta(seconds=card.beat_seconds * LATE_BEATS)):
        return None
    return Present(card, late=age > timedelta(seconds=card.beat_seconds * LATE_BEATS))
