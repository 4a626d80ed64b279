"""Reads the lessons off the log: the feedback of the last weeks, and the checks of answers; then whatever comes.

Every router does it for itself, and keeps nothing: one that begins anew learns the same from the same log.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import structlog

from trunkline.bus import Bus, StoredMessage, fold, follow, read_event
from trunkline.bus.clock import ServerClock
from trunkline.bus.streams import sequence_before
from trunkline.contracts.codec import Event
from trunkline.contracts.errors import WireViolation
from trunkline.contracts.messages import Feedback, Note, Request, Task
from trunkline.contracts.subjects import TRUNK, RunKey, filter_of
from trunkline.contracts.verdicts import CHECK_STEP
from trunkline_router.learning.lessons import MOST_RUNS, Asked, Lessons, Taught

log = structlog.get_logger("trunkline.router")

FOLLOWED = (filter_of(kind="feedback"), filter_of(kind="note", step=CHECK_STEP))
AGAIN_SECONDS = 1.0


class Study:
    """Enter `studying`. `teach` is called in the event loop whenever something new was learnt."""

    def __init__(
        self, bus: Bus, clock: ServerClock, lessons: Lessons, teach: Callable[[Taught], None], *, days: float
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._lessons = lessons
        self._teach = teach
        self._days = days
        self._position = 0

    @contextlib.asynccontextmanager
    async def studying(self) -> AsyncIterator[Study]:
        """Learn while inside, beside the work: what is on the log already is not waited for."""
        task = asyncio.create_task(self._keep_studying(), name="read the lessons")
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep_studying(self) -> None:
        """Whatever goes wrong is said, and read on behind it; without a bus there is nothing more to read."""
        while not self._bus.lost.is_set():
            try:
                if not self._position:
                    since = self._clock.now() - timedelta(days=self._days)
                    self._position = await sequence_before(self._bus, TRUNK, since)
                await self._read()
            except Exception as error:
                log.error("cannot read the lessons", action="lessons_failed", exc_info=error)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _read(self) -> None:
        """Of what is on the log already, the newest; then each piece as it comes."""
        waiting: deque[StoredMessage] = deque(maxlen=MOST_RUNS)
        caught_up = False
        async for batch in follow(self._bus, TRUNK, after=self._position, filters=FOLLOWED):
            waiting += batch
            caught_up = caught_up or not batch
            if not caught_up:
                continue
            learnt = [await self._take(message) for message in waiting]
            if any(learnt):
                self._teach(self._lessons.taught())
            if waiting:
                self._position = waiting[-1].sequence
            waiting.clear()

    async def _take(self, message: StoredMessage) -> bool:
        """Whether the message says something. Raises BusUnavailable."""
        try:
            event = await read_event(self._bus, message)
        except WireViolation as error:
            log.info("not a lesson", action="bad_lesson", subject=message.subject, reason=str(error))
            return False
        if not isinstance(event.fact, Feedback | Note):
            return False
        key = RunKey.of(event.subject)
        asked = await asked_in(self._bus, key)
        if asked is None:
            return False
        self._learn(event, asked)
        return True

    def _learn(self, event: Event, asked: Asked) -> None:
        run = event.subject.run
        match event.fact:
            case Feedback() as said if said.verdict in {-1, 0, 1}:
                self._lessons.feedback(run, asked, event.sequence, event.at, said)
            case Note(data=data) if isinstance(data.get("passed"), bool):
                self._lessons.checked(run, asked, event.sequence, event.at, passed=data["passed"])


async def asked_in(bus: Bus, key: RunKey) -> Asked | None:
    """What was asked in a run, and who answered; None for a run without a request or a task. Raises BusUnavailable."""
    requests = filter_of(tenant=key.tenant, conversation=key.conversation, run=key.run, kind="request")
    request: Request | None = None
    placed: Event | None = None
    for event in await fold(bus, requests, key.tasks):
        if isinstance(event.fact, Request):
            request = event.fact
        elif isinstance(event.fact, Task):
            placed = event
    task = placed.fact if placed and isinstance(placed.fact, Task) else None
    if request is None and task is None:
        return None
    text = (task.text if task else "") or (request.text if request else "")
    user = request.user if request else task.user if task else ""
    if placed is None or task is None:
        return Asked(text, user)
    return Asked(text, user, placed.subject.name, task.route.source, task.tier)
