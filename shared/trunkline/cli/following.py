"""`trunkline.bus.follow` for as long as it is needed: its consumer goes when we leave."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TYPE_CHECKING

from trunkline.bus import follow

if TYPE_CHECKING:
    from trunkline.bus import Bus, StoredMessage


@contextlib.asynccontextmanager
async def following(
    bus: Bus, stream: str, *, after: int = 0, filters: Sequence[str] = (), latest: bool = False
) -> AsyncIterator[AsyncIterator[list[StoredMessage]]]:
    """The batches of `follow`."""
    batches = follow(bus, stream, after=after, filters=filters, latest=latest)
    try:
        yield batches
    finally:
        if isinstance(batches, AsyncGenerator):
            await batches.aclose()
