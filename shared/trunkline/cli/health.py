"""Asking services how they are."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from trunkline.contracts.codec import decode
from trunkline.contracts.errors import WireViolation
from trunkline.contracts.health import Health
from trunkline.contracts.subjects import health as health_subject

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from trunkline.bus import Bus

SERVICES = ("router", "agents", "tools", "ledger")
PATIENCE = 0.3


async def healths(bus: Bus, *, patience: float = PATIENCE) -> dict[str, list[Health]]:
    """Each service's processes that answer within `patience` seconds; a service may have several, or none."""
    found: dict[str, list[Health]] = defaultdict(list)

    async def hear(message: Msg) -> None:
        try:
            health = decode(message.data, Health)
        except WireViolation:
            return  # the server's own word that nobody listens
        found[health.service].append(health)

    inbox = bus.client.new_inbox()
    subscription = await bus.client.subscribe(inbox, cb=hear)
    try:
        for service in SERVICES:
            await bus.client.publish(health_subject(service), b"", reply=inbox)
        await asyncio.sleep(patience)
    finally:
        await subscription.unsubscribe()
    return {service: sorted(found[service], key=lambda health: health.pid) for service in SERVICES}
