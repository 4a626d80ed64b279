"""Which part of the log a reader wants, and how to get it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from trunkline.bus.streams import sequence_before
from trunkline.cli.following import following
from trunkline.contracts.errors import BadSubject
from trunkline.contracts.subjects import TRUNK, TRUNK_SUBJECTS, Subject, filter_of

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
        run = self.run if len(self.run) == FULL_ID else ""
        kind = self.kind if not self.agent else ""
        return filter_of(run=run or "*", kind=kind or "*") if run or kind else TRUNK_SUBJECTS

    def fits(self, subject: Subject | None) -> bool:
        if subject is None:
            return not (self.kind or self.run or self.agent)
        return subject.run.startswith(self.run) and self.kind in ("", subject.kind)


class LogReader:
    """Reads the part that is wanted: first what is stored, then what comes."""

    def __init__(self, bus: Bus, wanted: Wanted) -> None:
        self._bus = bus
        self._wanted = wanted
        self._whose = Whose(wanted.agent)
        self._position = 0

    async def stored(self, limit: int) -> AsyncIterator[StoredMessage]:
        """The newest `limit` (0: all) that fit, in the order of the log. Raises BusUnavailable."""
        found: deque[StoredMessage] = deque(maxlen=limit)
        async for message in self._all_stored():
            if limit:
                found.append(message)
            else:
                yield message
        for message in found:
            yield message

    async def _all_stored(self) -> AsyncIterator[StoredMessage]:
        since = self._wanted.since
        self._position = await sequence_before(self._bus, TRUNK, since) if since else 0
        async with self._following() as batches:
            async for batch in batches:
                if not batch or self._over(batch[0]):
                    return
                for message in self._fitting(batch):
                    yield message

    async def coming(self) -> AsyncIterator[StoredMessage]:
        """What is written after that, as it comes."""
        async with self._following() as batches:
            async for batch in batches:
                for message in self._fitting(batch):
                    yield message
                if batch and self._over(batch[-1]):
                    return

    def _following(self) -> AbstractAsyncContextManager[AsyncIterator[list[StoredMessage]]]:
        return following(self._bus, TRUNK, after=self._position, filters=[self._wanted.filter])

    def _over(self, message: StoredMessage) -> bool:
        return self._wanted.until is not None and message.at >= self._wanted.until

    def _fitting(self, batch: list[StoredMessage]) -> list[StoredMessage]:
        found = []
        for message in batch:
            self._position = message.sequence
            if self._over(message):
                continue
            subject = _parsed(message)
            known = self._whose.released(message, subject) if self._wanted.agent else [(message, subject)]
            found += [each for each, parsed in known if self._wanted.fits(parsed)]
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


def _parsed(message: StoredMessage) -> Subject | None:
    try:
        return Subject.parse(message.subject)
    except BadSubject:
        return None
