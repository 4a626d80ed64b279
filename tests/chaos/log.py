"""Reading a whole log, also one that holds what nobody can read; and what the ledger has of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.bus import Bus, follow, read_event
from trunkline.bus.stored import StoredMessage
from trunkline.bus.streams import stream_info
from trunkline.client.query import query
from trunkline.contracts.codec import Event
from trunkline.contracts.errors import BusUnavailable, WireViolation
from trunkline.contracts.messages import Answer, Request, Task
from trunkline.contracts.subjects import TRUNK, RunKey


@dataclass(frozen=True)
class Log:
    """Every message in the order of the log; `events` are those that can be read."""

    messages: tuple[StoredMessage, ...]
    events: tuple[Event, ...]

    @property
    def unreadable(self) -> int:
        return len(self.messages) - len(self.events)


async def read_log(bus: Bus) -> Log:
    """All messages up to the log's present end."""
    messages = tuple(await whole_log(bus))
    return Log(messages, tuple(await events_of(bus, messages)))


async def whole_log(bus: Bus) -> list[StoredMessage]:
    """All messages up to the log's present end."""
    found: list[StoredMessage] = []
    async for batch in follow(bus, TRUNK):
        found += batch
        if not batch:
            return found
    raise AssertionError("following never ends by itself")


async def events_of(bus: Bus, messages: Sequence[StoredMessage]) -> list[Event]:
    """What the messages say; those that nobody can read are left out."""
    found = []
    for message in messages:
        try:
            found.append(await read_event(bus, message))
        except WireViolation:
            continue
    return found


async def ledger_events(bus: Bus, *, seconds: float = 120.0) -> list[dict[str, Any]]:
    """All events that the ledger has, once it has read as far as the log goes now. Raises TimeoutError."""
    last = (await stream_info(bus, TRUNK)).last_sequence
    kept: list[dict[str, Any]] = []
    async with asyncio.timeout(seconds):
        while not kept or kept[-1]["sequence"] < last:
            try:
                kept += await query(bus, "ledger", "events", after=kept[-1]["sequence"] if kept else 0, limit=1000)
            except BusUnavailable:
                await asyncio.sleep(0.5)
    return kept


async def recorded_runs(bus: Bus) -> list[RunKey]:
    """Every run on the log that an agent took up and that has ended, in the order in which they began."""
    return ended_runs((await read_log(bus)).events)


def ended_runs(events: Sequence[Event]) -> list[RunKey]:
    """As `recorded_runs`."""
    ended = {event.subject.run for event in events if isinstance(event.fact, Answer)}
    begun = dict.fromkeys(RunKey.of(event.subject) for event in events if isinstance(event.fact, Request | Task))
    taken_up = {event.subject.run for event in events if isinstance(event.fact, Task)}
    return [key for key in begun if key.run in ended & taken_up]
