"""A process that reads a log into a ledger and says each position it reaches; for killing."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence

from tests.unit.ledger.story import Message, Story, everything, one_tool_run
from trunkline.prices import PriceBook
from trunkline_ledger.ingest import Ingest, Written
from trunkline_ledger.store import open_store

BATCH = 7
RUNS = 40


def long_story() -> Story:
    """All that happens, and 40 runs that each take a while."""
    story = everything()
    for number in range(RUNS):
        one_tool_run(story, f"run-{number:03}")
    return story


async def main(url: str) -> None:
    story = long_story()

    async def follow(after: int) -> AsyncIterator[Sequence[Message]]:
        for first in range(after, len(story.messages), BATCH):
            yield story.messages[first : first + BATCH]

    def tell(written: Written) -> None:
        sys.stdout.write(f"{written.sequence}\n")
        sys.stdout.flush()

    async with open_store(url) as store:
        await Ingest(store, story.stream, PriceBook()).run(follow, report=tell)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
