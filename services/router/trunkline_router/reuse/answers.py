"""Answers that were given before, and where they are kept."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import structlog

from trunkline.bus.clock import ServerClock
from trunkline.cache import Cache, CacheKey, Entry
from trunkline.contracts.codec import decode, encode
from trunkline.contracts.errors import BadMessage
from trunkline.contracts.messages import Answer, Note
from trunkline.contracts.savings import saving
from trunkline.contracts.subjects import RunKey
from trunkline.prices import Money

log = structlog.get_logger("trunkline.router")

FROM_CACHE = "cache"
MOST_UNDER_WAY = 1000
"""Answers that are still to be handed to the store; beyond them, new ones are not kept."""
MOST_REJECTED = 10_000
LINGER_SECONDS = 2.0
"""For so long an answer is known here after it was handed to the store, for whoever had looked there just before."""


class Given(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an entry holds: an answer, the run that it is of, and what that cost."""

    run: str
    agent: str
    text: str
    cost: str = ""


@dataclass(frozen=True, slots=True)
class Likeness:
    """Of two questions, from 0 to 1, and how alike they had to be."""

    similarity: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Hit:
    """An answer that was given at `at` to the same question; or to one that is `alike`."""

    key: CacheKey
    given: Given
    at: datetime
    alike: Likeness | None = None

    def note(self, now: datetime) -> Note:
        age = max(0.0, round((now - self.at).total_seconds(), 1))
        what: dict[str, Any] = {"of": self.given.run, "age": age, "cache": self.key}
        if self.alike is None:
            return saving("answer_cache", cost=self.given.cost, **what)
        what |= {"similarity": round(self.alike.similarity, 4), "threshold": round(self.alike.threshold, 4)}
        return saving("alike_cache", cost=self.given.cost, agent=self.given.agent, **what)

    @property
    def answer(self) -> Answer:
        return Answer(agent=self.given.agent, text=self.given.text, cost=str(Money()), source=FROM_CACHE)


class Answers:
    """Enter `keeping`. `longest`: seconds that an answer may be given again, at most."""

    def __init__(self, cache: Cache, clock: ServerClock, *, longest: float) -> None:
        self._cache = cache
        self._clock = clock
        self._longest = longest
        self._newest: dict[CacheKey, Entry] = {}
        self._rejected: OrderedDict[str, None] = OrderedDict()
        self._under_way: asyncio.Queue[tuple[CacheKey, Entry, float]] = asyncio.Queue(MOST_UNDER_WAY)

    @contextlib.asynccontextmanager
    async def keeping(self) -> AsyncIterator[Answers]:
        """While inside, what comes is handed to the store beside the work; on leaving, the cache is closed."""
        task = asyncio.create_task(self._keep_handing(), name="keep answers")
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._cache.close()

    async def find(self, *keys: CacheKey) -> Hit | None:
        """What is kept under the first of the keys that has something."""
        for key in keys:
            entry = self._newest.get(key) or await self._cache.get(key) or self._newest.get(key)
            if entry and (hit := self.hit(key, entry)):
                return hit
        return None

    def keep(self, key: CacheKey, run: RunKey, answer: Answer, at: datetime, seconds: float) -> None:
        """The run's answer, stored `at`, for so long. It is found from now on."""
        left = min(seconds, self._longest) - max(0.0, (self._clock.now() - at).total_seconds())
        if left <= 0 or run.run in self._rejected:
            return
        entry = entry_of(run, answer, at)
        try:
            self._under_way.put_nowait((key, entry, left))
        except asyncio.QueueFull:
            log.warning("an answer is not kept: too many at once", action="answer_not_kept", run=run.run)
        else:
            self._newest[key] = entry

    async def reject(self, run: str, key: CacheKey) -> None:
        """The answer of this run, which was kept under `key`, is given to nobody any more."""
        self._rejected[run] = None
        if len(self._rejected) > MOST_REJECTED:
            self._rejected.popitem(last=False)
        entry = await self._cache.get(key)
        if entry and (given := _given(entry)) and given.run == run:
            await self._cache.delete(key)

    def hit(self, key: CacheKey, entry: Entry) -> Hit | None:
        """None for an entry that cannot be read, or was rejected."""
        given = _given(entry)
        return Hit(key, given, entry.created) if given and given.run not in self._rejected else None

    async def _keep_handing(self) -> None:
        while True:
            key, entry, seconds = await self._under_way.get()
            try:
                await self._cache.put(key, entry, seconds)
            except Exception as error:
                log.error("an answer is not kept", action="answer_not_kept", exc_info=error)
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._let_go, key, entry)

    def _let_go(self, key: CacheKey, entry: Entry) -> None:
        if self._newest.get(key) is entry:
            del self._newest[key]


def entry_of(run: RunKey, answer: Answer, at: datetime) -> Entry:
    given = Given(run=run.run, agent=answer.agent, text=answer.text, cost=answer.cost)
    return Entry(encode(given), _dollars(answer.cost), at)


def _given(entry: Entry) -> Given | None:
    try:
        return decode(entry.value, Given)
    except BadMessage:
        return None


def _dollars(cost: str) -> Decimal:
    """Nothing, where it is not known."""
    try:
        return Money.parse(cost).dollars
    except ValueError:
        return Decimal(0)
