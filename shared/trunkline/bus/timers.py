"""Messages that the server publishes later (message schedules, ADR-51)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.subjects import RunKey, timer_due, timer_set

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus


async def schedule(bus: Bus, key: RunKey, name: str, step: str, at: datetime, data: bytes) -> None:
    """Have `data` appear under the step's `timer.due` subject at `at`; setting it again replaces it.

    Raises BusUnavailable.
    """
    headers = {
        "Nats-Schedule": f"@at {at.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')}",
        "Nats-Schedule-Target": timer_due(key, name, step),
    }
    await _publish(bus, timer_set(key, name, step), data, headers)


async def set_off(bus: Bus, due: str, data: bytes) -> None:
    """Have `data` appear under this `timer.due` subject now. Raises BusUnavailable."""
    await _publish(bus, due, data)


async def _publish(bus: Bus, subject: str, data: bytes, headers: dict[str, str] | None = None) -> None:
    reply = await bus.mailbox.request(subject, data, headers=headers)
    if error := orjson.loads(reply.data).get("error"):
        raise BusUnavailable(
            f"The bus refused a timer: {error.get('description')}.", "It needs nats-server 2.12 or newer."
        )
