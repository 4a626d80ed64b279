"""Which part of the log a reader wants, and how to get it."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import orjson

from trunkline.bus import follow
from trunkline.bus.stored import from_direct_get
from trunkline.contracts.errors import BadSubject
from trunkline.contracts.subjects import TRUNK, Subject, filter_of

if TYPE_CHECKING:
    from trunkline.bus import Bus, StoredMessage

NAMES_AN_AGENT = ("task", "prompt", "model", "result")
FULL_ID = 36


@dataclass(frozen=True, slots=True)
class Wanted:
    """A part of the log. `run` may be the beginning of an id; `agent` is whose run it is. Empty means all."""

    since: datetime | None = None
    until: datetime | None = None
    kind: str = ""
    agent: str = ""
    run: str = ""

    @property
    def filter(self) -> str:
        """What the server can sort out itself; with `agent`, other kinds are needed to know whose run it is."""
        run = self.run if len(self.run) == FULL_ID else "*"
        return filter_of(run=run or "*", kind=self.kind if self.kind and not self.agent else "*")

    def fits(self, subject: Subject | None) -> bool:
        if subject is None:
            return not (self.kind or self.run or self.agent)
        return subject.run.startswith(self.run) and self.kind in ("", subject.kind)


async def stored(bus: Bus, wanted: Wanted, limit: int) -> tuple[list[StoredMessage], int]:
    """The newest `limit` (0: all) that fit, in the order of the log; and where the log ended."""
    found: deque[StoredMessage] = deque(maxlen=limit or None)
    position = await _before(bus, wanted.since)
    whose = Whose(wanted.agent)
    async with contextlib.aclosing(_following(bus, TRUNK, after=position, filters=[wanted.filter])) as batches:
        async for batch in batches:
            if not batch:
                break
            position = batch[-1].sequence
            if wanted.until and batch[0].at >= wanted.until:
                break
            found.extend(_fitting(batch, wanted, whose))
    return list(found), position


async def coming(bus: Bus, wanted: Wanted, after: int) -> AsyncIterator[StoredMessage]:
    """What is written behind the sequence `after`, as it comes, for ever."""
    whose = Whose(wanted.agent)
    async with contextlib.aclosing(_following(bus, TRUNK, after=after, filters=[wanted.filter])) as batches:
        async for batch in batches:
            for message in _fitting(batch, wanted, whose):
                yield message
            if batch and wanted.until and batch[-1].at >= wanted.until:
                return


def _fitting(batch: list[StoredMessage], wanted: Wanted, whose: Whose) -> list[StoredMessage]:
    found = []
    for message in batch:
        if wanted.until and message.at >= wanted.until:
            continue
        subject = _parsed(message)
        known = whose.released(message, subject) if wanted.agent else [(message, subject)]
        found += [each for each, parsed in known if wanted.fits(parsed)]
    return found


@dataclass(slots=True)
class Whose:
    """Which runs are the agent's. A request is held back until the task says who got it."""

    agent: str
    _runs: dict[str, bool] = field(default_factory=dict)
    _held: dict[str, list[tuple[StoredMessage, Subject | None]]] = field(default_factory=dict)

    def released(self, message: StoredMessage, subject: Subject | None) -> list[tuple[StoredMessage, Subject | None]]:
        """The messages that are now known to be of the agent's runs."""
        if subject is None:
            return []
        if subject.run not in self._runs and subject.kind in NAMES_AN_AGENT:
            self._runs[subject.run] = subject.name == self.agent
            held = self._held.pop(subject.run, [])
            return [*held, (message, subject)] if self._runs[subject.run] else []
        if subject.run not in self._runs:
            self._held.setdefault(subject.run, []).append((message, subject))
            return []
        return [(message, subject)] if self._runs[subject.run] else []


async def _before(bus: Bus, since: datetime | None) -> int:
    """The sequence before the first message at or after `since` (ADR-31's start_time)."""
    if since is None:
        return 0
    body = {"batch": 1, "start_time": since.isoformat(), "next_by_subj": ">"}
    replies, _ = await bus.mailbox.collect(f"$JS.API.DIRECT.GET.{TRUNK}", orjson.dumps(body))
    if replies:
        return from_direct_get(replies[0]).sequence - 1
    info = await bus.api(f"STREAM.INFO.{TRUNK}")
    last: int = info["state"]["last_seq"]
    return last


def _parsed(message: StoredMessage) -> Subject | None:
    try:
        return Subject.parse(message.subject)
    except BadSubject:
        return None
