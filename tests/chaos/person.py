"""Who is asked about calls in doubt: looks whether the effect stands in the books, and says so."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Literal

from tests.chaos.office import Office
from trunkline.bus import Bus, append, follow, read_event
from trunkline.contracts.codec import Event
from trunkline.contracts.messages import Approval, Decision
from trunkline.contracts.subjects import TRUNK, RunKey, filter_of

PATIENCE = 3.0
"""Seconds before they look: longer than the tool may run, so that what they find stays so."""


class Person:
    """`decided` counts what they said."""

    def __init__(self, bus: Bus, office: Office) -> None:
        self._bus = bus
        self._office = office
        self.decided: Counter[str] = Counter()

    async def answer_all(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as answering:
            async for batch in follow(self._bus, TRUNK, filters=[filter_of(kind="approval")]):
                for message in batch:
                    event = await read_event(self._bus, message)
                    answering.create_task(self._answer(event), name=f"doubt {event.sequence}")

    async def _answer(self, event: Event) -> None:
        asked, subject = event.fact, event.subject
        assert isinstance(asked, Approval)
        await asyncio.sleep(PATIENCE)
        key, step = RunKey.of(subject), subject.step.removeprefix("doubt-").rpartition("-")[0]
        done = self._office.done(f"{key.run}-{step}")
        verdict: Literal["done", "retry"] = "done" if done else "retry"
        value = asked.arguments["number"] if done else None
        decision = Decision(verdict=verdict, by="auditor", arguments_hash=asked.arguments_hash, value=value)
        await append(self._bus, key.step("decision", subject.name, subject.step), decision)
        self.decided[verdict] += 1
