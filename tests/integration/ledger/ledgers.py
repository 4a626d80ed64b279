"""Ledgers on real files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tests.unit.ledger.story import Message, Story
from trunkline.prices import PriceBook
from trunkline_ledger.dump import dump
from trunkline_ledger.ingest import Ingest
from trunkline_ledger.store import open_store
from trunkline_ledger.stream import Follow

BATCH = 50

Rows = list[tuple[str, bytes]]


def url_of(file: Path) -> str:
    return f"sqlite+aiosqlite:///{file}"


def following(messages: Sequence[Message], batch: int = BATCH) -> Follow:
    """What the bus does: batches behind a sequence, and an empty one at the end."""

    async def follow(after: int) -> AsyncIterator[Sequence[Message]]:
        later = [message for message in messages if message.sequence > after]
        for first in range(0, len(later), batch):
            yield later[first : first + batch]
        yield []

    return follow


async def read_into(url: str, story: Story, messages: Sequence[Message] | None = None) -> int:
    """One process that reads what is there and ends."""
    async with open_store(url) as store:
        ingest = Ingest(store, story.stream, PriceBook())
        return await ingest.run(following(story.messages if messages is None else messages))


async def rows_in(url: str) -> Rows:
    async with open_store(url) as store:
        return [row async for row in dump(store)]
