"""Text as it is written: on core NATS, not stored, lost without harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nats.errors

from trunkline.contracts.codec import encode

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus
    from trunkline.contracts.messages import Delta
    from trunkline.contracts.subjects import RunKey


async def publish_delta(bus: Bus, key: RunKey, delta: Delta) -> None:
    try:
        await bus.client.publish(key.live, encode(delta))
    except nats.errors.Error:
        return  # live text is a courtesy: the log has all of it
