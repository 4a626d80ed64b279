"""What the running services say of their edges."""

from __future__ import annotations

import asyncio
from typing import Any

from trunkline.bus import Bus
from trunkline.client.query import query
from trunkline.contracts.errors import BusUnavailable

SERVICES = ("router", "agents", "tools", "ledger")


async def edge_documents(bus: Bus) -> list[dict[str, Any]]:
    """The AsyncAPI documents of the services that answer within five seconds."""
    found = await asyncio.gather(
        *(query(bus, service, "asyncapi", wait=5.0) for service in SERVICES), return_exceptions=True
    )
    documents: list[dict[str, Any]] = []
    for document in found:
        if isinstance(document, BaseException) and not isinstance(document, BusUnavailable):
            raise document
        if isinstance(document, dict):
            documents.append(document)
    return documents
