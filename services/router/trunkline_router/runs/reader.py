"""Reads the log into the open runs: all of it that may still matter, then whatever comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime

import structlog

from trunkline.bus import Bus, StoredMessage, follow
from trunkline.bus.marks import Mark, keep_mark, read_mark
from trunkline.bus.objects import resolve
from trunkline.contracts.codec import decode_fact
from trunkline.contracts.errors import BadSubject, BusUnavailable, TryAgain, WireViolation
from trunkline.contracts.messages import Answer, Fact
from trunkline.contracts.subjects import CLIENT, EVERYBODY, ROUTER, TRIED, TRUNK, RunKey, Subject, filter_of
from trunkline_router.runs.open_runs import OpenRun, OpenRuns

log = structlog.get_logger("trunkline.router")

FOLLOWED = (
    filter_of(kind="request", name=ROUTER),
    filter_of(kind="request", name=TRIED),
    filter_of(kind="task"),
    filter_of(kind="answer"),
    filter_of(kind="cancel", name=EVERYBODY),
    filter_of(kind="note", name=ROUTER),
)
AGAIN_SECONDS = 1.0
SAY_SECONDS = 5.0
MARK_SECONDS = 10.0
LAG_SECONDS = 5.0


class Reader:
    """Enter `reading`. `keep` gets the answers of runs whose task says that they may be kept, with when they were
    stored; they are not open any more after that.
    """

    def __init__(
        self, bus: Bus, open_runs: OpenRuns, keep: Callable[[OpenRun, Answer, datetime], None] | None = None
    ) -> None:
        self._bus = bus
        self._open = open_runs
        self._keep = keep
        self._read = asyncio.Event()
        self._caught_up = asyncio.Event()

    @contextlib.asynccontextmanager
    async def reading(self, moved: Callable[[], None]) -> AsyncIterator[Reader]:
        """Read while inside; on entering, all that stands on the log has been read. `moved` is called after each piece
        of what comes then. Raises BusUnavailable.
        """
        mark = await read_mark(self._bus, ROUTER)
        self._open.position = mark.sequence
        tasks = [asyncio.create_task(self._keep_reading(moved), name="read the log")]
        try:
            await self._until_caught_up()
            tasks.append(asyncio.create_task(self._keep_marking(mark), name="mark the log"))
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def up_to(self, sequence: int) -> None:
        """Until the message `sequence`, one of those that we read, has been read. Raises TryAgain."""
        try:
            async with asyncio.timeout(LAG_SECONDS):
                while self._open.position < sequence:
                    await self._read.wait()
        except TimeoutError as error:
            raise TryAgain(f"The router has read the log up to {self._open.position}, not to {sequence}.") from error

    async def _until_caught_up(self) -> None:
        while not self._caught_up.is_set():
            if self._bus.lost.is_set():
                raise BusUnavailable("The connection to the bus was lost before the log was read.", "Try again.")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SAY_SECONDS):
                    await self._caught_up.wait()
                    return
            log.info("reading the log", action="catching_up", position=self._open.position, open_runs=len(self._open))

    async def _keep_reading(self, moved: Callable[[], None]) -> None:
        """Whatever goes wrong is said, and read on behind it; without a bus there is nothing more to read."""
        while not self._bus.lost.is_set():
            try:
                async for batch in follow(self._bus, TRUNK, after=self._open.position, filters=FOLLOWED):
                    for message in batch:
                        await self._take(message)
                    if not batch:
                        self._caught_up.set()
                    self._read.set()
                    self._read = asyncio.Event()
                    moved()
            except Exception as error:
                log.error("cannot read the log", action="reading_failed", exc_info=error)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _take(self, message: StoredMessage) -> None:
        try:
            subject = Subject.parse(message.subject)
        except BadSubject:
            self._open.position = message.sequence
            return
        run = self._to_be_kept(subject) if subject.kind == "answer" else None
        fact = await self._fact(subject.kind, message.data) if run or subject.kind != "answer" else Fact()
        if run and self._keep and isinstance(fact, Answer):
            self._keep(run, fact, message.at)
        self._open.take(subject, message.sequence, message.at, fact)

    def _to_be_kept(self, subject: Subject) -> OpenRun | None:
        """The run, if its answer matters to others: else the answer's body is not even read."""
        run = self._open.get(RunKey.of(subject)) if self._keep and subject.name == CLIENT else None
        return run if run and run.cache else None

    async def _fact(self, kind: str, data: bytes) -> Fact:
        """What the message says; bytes that cannot be read say nothing more than their subject."""
        while True:
            try:
                return decode_fact(kind, await resolve(self._bus, data))
            except WireViolation:
                return Fact()
            except BusUnavailable as error:
                log.info("a payload cannot be had now", action="payload_awaited", reason=error.what)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _keep_marking(self, kept: Mark) -> None:
        """Say now and then how much of the log nobody need read again."""
        while True:
            await asyncio.sleep(MARK_SECONDS)
            mark = Mark(self._open.oldest(), kept.log)
            if mark.sequence <= kept.sequence:
                continue
            try:
                await keep_mark(self._bus, ROUTER, mark)
                kept = mark
            except BusUnavailable as error:
                log.info("the mark was not kept", action="mark_failed", reason=error.what)
