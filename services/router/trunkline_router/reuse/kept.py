"""What becomes of answers behind the router's back: those of runs are kept, those that people reject are not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from trunkline.bus import Bus, StoredMessage, fold, follow, read_event
from trunkline.bus.clock import ServerClock
from trunkline.bus.streams import sequence_before
from trunkline.cache import CacheKey
from trunkline.contracts.codec import Event
from trunkline.contracts.errors import WireViolation
from trunkline.contracts.messages import Answer, Feedback, Note, Request, Task
from trunkline.contracts.subjects import ROUTER, TRUNK, RunKey, filter_of
from trunkline_router.deciding.routes import Routes
from trunkline_router.reuse.again import SAVED
from trunkline_router.reuse.alike import Alike
from trunkline_router.reuse.answers import Answers
from trunkline_router.reuse.keys import asked_of, card_of
from trunkline_router.runs.open_runs import OpenRun

log = structlog.get_logger("trunkline.router")

FEEDBACK = filter_of(kind="feedback")
AGAIN_SECONDS = 1.0
MOST_UNDER_WAY = 1000
"""Answers whose questions are still to be embedded; of more, only the same words are found."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """A run on whose answer somebody has a verdict: who asked; where the answer is kept, and of which run it is."""

    user: str
    key: CacheKey
    of: str
    agent: str = ""
    similarity: float | None = None


class Kept:
    """Enter `keeping`. A verdict counts when it is of the user who asked, or of one of the `operators`; those of the
    last `days` are read when a router begins.
    """

    def __init__(
        self,
        bus: Bus,
        routes: Routes,
        answers: Answers,
        alike: Alike,
        clock: ServerClock,
        *,
        operators: frozenset[str],
        days: float,
    ) -> None:
        self._bus = bus
        self._routes = routes
        self._answers = answers
        self._alike = alike
        self._clock = clock
        self._operators = operators
        self._days = days
        self._position = 0
        self._new: asyncio.Queue[RunKey] = asyncio.Queue(MOST_UNDER_WAY)

    @contextlib.asynccontextmanager
    async def keeping(self) -> AsyncIterator[Kept]:
        """Keep and reject while inside, beside the work."""
        works = {"embed what is answered": self._keep_embedding(), "read verdicts": self._keep_reading()}
        tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def take(self, run: OpenRun, answer: Answer, at: datetime) -> None:
        """The answer, stored `at`, of a run that has a key."""
        card = card_of(self._routes, run.agent)
        if card is None or answer.error or not answer.reusable:
            return
        self._answers.keep(CacheKey(run.cache), run.key, answer, at, card.reuse_seconds)
        if card.alike:
            with contextlib.suppress(asyncio.QueueFull):
                self._new.put_nowait(run.key)

    async def _keep_embedding(self) -> None:
        while True:
            key = await self._new.get()
            try:
                await self._embed(key)
            except Exception as error:
                log.error("a question is not found by its meaning", action="not_embedded", run=key.run, exc_info=error)

    async def _embed(self, key: RunKey) -> None:
        """Only what the run's task says is believed: its key must be the one that follows from the question."""
        request, task, agent = _asked(await fold(self._bus, str(key.step("request", ROUTER)), key.tasks))
        card = card_of(self._routes, agent)
        question = asked_of(card, key.tenant, request, task.tier) if card and request and task else None
        if question and task and question.key == task.cache:
            await self._alike.add(question)

    async def _keep_reading(self) -> None:
        """Whatever goes wrong is said, and read on behind it; without a bus there is nothing more to read."""
        while not self._bus.lost.is_set():
            try:
                if not self._position:
                    since = self._clock.now() - timedelta(days=self._days)
                    self._position = await sequence_before(self._bus, TRUNK, since)
                async for batch in follow(self._bus, TRUNK, after=self._position, filters=[FEEDBACK]):
                    for message in batch:
                        await self._judge(message)
                        self._position = message.sequence
            except Exception as error:
                log.error("cannot read verdicts", action="verdicts_failed", exc_info=error)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _judge(self, message: StoredMessage) -> None:
        try:
            event = await read_event(self._bus, message)
        except WireViolation as error:
            log.info("not a verdict", action="bad_verdict", subject=message.subject, reason=str(error))
            return
        said = event.fact
        if not isinstance(said, Feedback) or said.verdict not in {-1, 1}:
            return
        judged = await self._judged(RunKey.of(event.subject))
        if judged is None or said.by not in {judged.user, *self._operators}:
            return
        if judged.similarity is not None:
            self._alike.judge(judged.agent, judged.similarity, said.verdict, said.by)
        if said.verdict < 0:
            await self._answers.reject(judged.of, judged.key)

    async def _judged(self, key: RunKey) -> _Judged | None:
        """None for a run whose answer is not kept. Raises BusUnavailable."""
        saved = str(key.step("note", ROUTER, SAVED))
        events = await fold(self._bus, str(key.step("request", ROUTER)), key.tasks, saved)
        request, task, agent = _asked(events)
        user = request.user if request else ""
        for event in events:
            if isinstance(event.fact, Note):
                return _as_noted(user, event.fact)
        return _Judged(user, CacheKey(task.cache), key.run, agent) if task and task.cache else None


def _asked(events: list[Event]) -> tuple[Request | None, Task | None, str]:
    """A run's request and task, and the agent that got it."""
    request: Request | None = None
    task: Task | None = None
    agent = ""
    for event in events:
        if isinstance(event.fact, Request):
            request = event.fact
        elif isinstance(event.fact, Task):
            task, agent = event.fact, event.subject.name
    return request, task, agent


def _as_noted(user: str, note: Note) -> _Judged | None:
    """What the router noted when it gave an answer again; None for a note that says something else."""
    data = note.data
    key, of, agent, similarity = (data.get(name) for name in ("cache", "of", "agent", "similarity"))
    if not isinstance(key, str) or not isinstance(of, str):
        return None
    known = similarity if isinstance(similarity, float) and 0 <= similarity <= 1 else None
    return _Judged(user, CacheKey(key), of, agent if isinstance(agent, str) else "", known)
