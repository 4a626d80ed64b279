"""What must hold of any log, whatever happened while it was written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from trunkline.bus import Bus, follow, read_event
from trunkline.bus.stored import StoredMessage
from trunkline.contracts.codec import Event
from trunkline.contracts.messages import Answer, Model, Note, Prompt
from trunkline.contracts.subjects import TRUNK


async def whole_log(bus: Bus) -> list[StoredMessage]:
    """All messages up to the log's present end."""
    found: list[StoredMessage] = []
    async for batch in follow(bus, TRUNK):
        found += batch
        if not batch:
            return found
    raise AssertionError("following never ends by itself")


async def events_of(bus: Bus, messages: Sequence[StoredMessage]) -> list[Event]:
    return [await read_event(bus, message) for message in messages]


def answers_per_run(events: Sequence[Event]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for event in events:
        if isinstance(event.fact, Answer):
            counts[event.subject.run] += 1
    return counts


def paid_again(events: Sequence[Event]) -> list[str]:
    """Model calls that were paid although their result was on the log (law 5)."""
    recorded: dict[tuple[str, str], int] = {
        (event.subject.run, event.subject.step): event.sequence for event in events if isinstance(event.fact, Model)
    }
    return [
        str(event.subject)
        for event in events
        if isinstance(event.fact, Prompt)
        and event.sequence > recorded.get((event.subject.run, event.subject.step.rpartition("-")[0]), 1 << 62)
    ]


def unexplained_prompts(events: Sequence[Event]) -> int:
    """Prompts without a result beyond the takeovers that were noted (law 5)."""
    prompts = sum(isinstance(event.fact, Prompt) for event in events)
    models = sum(isinstance(event.fact, Model) for event in events)
    takeovers = sum(isinstance(event.fact, Note) and event.fact.what == "takeover" for event in events)
    return prompts - models - takeovers
