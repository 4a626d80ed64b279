"""Clients that ask without pause, and remember what they were promised and told."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.chaos import clerk
from trunkline.bus import Bus, append
from trunkline.client.watch import answer_of
from trunkline.contracts.errors import BusUnavailable, DeadlinePassed
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Request
from trunkline.contracts.subjects import ROUTER, RunKey

TOOL_FAILED = "tool_failed"
"""What an agent is told when a tool took too long, as it may on a machine with too much to do."""


@dataclass
class Asked:
    """What the clients know. `acked`: runs whose request the bus took. `told`: run to the answer's text or code.

    Answers are `right`, or say of a tool that it failed, or are `wrong`.
    """

    begun: int = 0
    acked: dict[str, RunKey] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    right: int = 0
    tool_failed: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        return len(self.acked) - len(self.told)


class Askers:
    """`at_once` clients, each with one question at a time, until `enough` says so. An answer may take `patience` s."""

    def __init__(self, bus: Bus, *, at_once: int, enough: Callable[[Asked], bool], patience: float) -> None:
        self._bus = bus
        self._at_once = at_once
        self._enough = enough
        self._patience = patience
        self._numbers: Iterator[int] = itertools.count(1)
        self.asked = Asked()

    async def run(self) -> None:
        """Until all that was asked is answered. Raises DeadlinePassed when an answer does not come."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._at_once):
                group.create_task(self._ask_on(), name=f"asker {number}")

    async def _ask_on(self) -> None:
        while not self._enough(self.asked):
            self.asked.begun += 1
            await self._ask(next(self._numbers))

    async def _ask(self, begin: int) -> None:
        key = RunKey.checked(new_run_id(), new_conversation_id())
        request = Request(text=f"Work on {begin}", agent=clerk.clerk.name, first=True)

        async def publish() -> None:
            await append(self._bus, key.step("request", ROUTER), request)
            self.asked.acked[key.run] = key

        try:
            answer = await answer_of(self._bus, key, publish, self._patience)
        except (BusUnavailable, DeadlinePassed) as error:
            self.asked.failures[error.code] += 1
            return
        self._note(begin, key.run, answer.text, answer.error.code if answer.error else "")

    def _note(self, begin: int, run: str, text: str, failure: str) -> None:
        self.asked.told[run] = failure or text
        if failure:
            self.asked.failures[failure] += 1
            return
        right = " ".join(clerk.expected(begin))
        if text == right:
            self.asked.right += 1
        elif all(
            word in {other, TOOL_FAILED} for word, other in zip(text.split(), clerk.expected(begin), strict=False)
        ):
            self.asked.tool_failed += 1
        else:
            self.asked.wrong.append(f"run {run}: {text!r} instead of {right!r}")
