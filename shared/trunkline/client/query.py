"""Asking a service's read side."""

from __future__ import annotations

from typing import Any

import orjson

from trunkline.bus import Bus
from trunkline.contracts.codec import decode
from trunkline.contracts.errors import BusUnavailable, CallerMistake, NotFound
from trunkline.contracts.queries import QueryReply
from trunkline.contracts.subjects import query as query_subject


async def query(bus: Bus, service: str, what: str, *, wait: float = 10.0, **parameters: Any) -> Any:
    """The value, as plain JSON types. Raises NotFound, CallerMistake, and BusUnavailable when the service is away."""
    asked = {name: value for name, value in parameters.items() if value is not None}
    try:
        reply = await bus.mailbox.request(query_subject(service, what), orjson.dumps(asked, default=str), wait=wait)
    except BusUnavailable as error:
        raise BusUnavailable(
            f"The {service} does not answer.", f"`trunkline status` shows which services run; start the {service}."
        ) from error
    found = decode(reply.data, QueryReply)
    if found.error:
        kind = NotFound if found.error.code == NotFound.code else CallerMistake
        raise kind(found.error.message, found.error.hint)
    return found.value
