"""Keeps the promise that every run ends: looks after those that have no answer, and does what is to be done.

| the log says of a run without an answer | so the keeper |
|---|---|
| it is to stop | ends it, and tells the run that asked for it |
| its task was written after its answer | forgets it |
| the run that asked for it has ended | has it stop |
| it waits for its turn, and no earlier question of its conversation is left | has it routed |
| it waits for another run's answer to the same question, and that run has ended or takes too long | has it routed |
| nobody began with it in time, or its deadline has passed | has it stop, and says what it waited for |

To have a run stop is to write its `cancel`; the log then brings that back here, and to whoever works on the run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

import structlog

from trunkline.bus import Bus, append, fold, last
from trunkline.bus.clock import ServerClock
from trunkline.bus.consumers import delivered_up_to, of_agent
from trunkline.contracts.errors import CallerMistake, TryAgain, WireViolation
from trunkline.contracts.messages import Cancel
from trunkline.contracts.subjects import CLIENT, RunKey
from trunkline.run.ending import cancelled, end_run
from trunkline_router.deciding.routes import Routes
from trunkline_router.runs.open_runs import OpenRun, OpenRuns
from trunkline_router.runs.overdue import has_begun, left_waiting, out_of_time

log = structlog.get_logger("trunkline.router")

HANDS = 8
"""Runs that are looked after at a time."""
AGAIN_SECONDS = 1.0
LONGEST_SLEEP_SECONDS = 60.0


class Keeper:
    """`route` gives a run that waited for its turn to an agent. Call `look` when there may be something to do."""

    def __init__(
        self,
        bus: Bus,
        open_runs: OpenRuns,
        routes: Routes,
        clock: ServerClock,
        route: Callable[[OpenRun], Awaitable[None]],
        *,
        queue_seconds: float,
    ) -> None:
        self._bus = bus
        self._open = open_runs
        self._routes = routes
        self._clock = clock
        self._route = route
        self._queue_seconds = queue_seconds
        self._touched = asyncio.Event()
        self._put_off: set[RunKey] = set()
        self._alarm: datetime | None = None
        self._rearmed = asyncio.Event()

    def look(self) -> None:
        """The open runs have changed."""
        if self._open.touched:
            self._touched.set()
        if self._open.alarm() != self._alarm:
            self._rearmed.set()

    @contextlib.asynccontextmanager
    async def keeping(self) -> AsyncIterator[Keeper]:
        """Look after the open runs while inside."""
        tasks = [asyncio.create_task(self._hand(), name=f"keep runs {number}") for number in range(HANDS)]
        tasks.append(asyncio.create_task(self._watch_time(), name="watch deadlines"))
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch_time(self) -> None:
        while True:
            self._rearmed.clear()
            now = self._clock.now()
            self._open.touch_due(now)
            self._alarm = self._open.alarm()
            if self._open.touched:
                self._touched.set()
            pause = (self._alarm - now).total_seconds() if self._alarm else LONGEST_SLEEP_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(pause, LONGEST_SLEEP_SECONDS)):
                    await self._rearmed.wait()

    async def _hand(self) -> None:
        while True:
            while not self._open.touched:
                self._touched.clear()
                await self._touched.wait()
            key, _ = self._open.touched.popitem(last=False)
            run = self._open.get(key)
            if run:
                await self._look_after(run)

    async def _look_after(self, run: OpenRun) -> None:
        """What goes wrong is said, and the run comes up again; unless nothing can be done about it."""
        try:
            await self._do(run)
        except (CallerMistake, WireViolation) as error:
            log.error("a run cannot be ended", action="run_untold", run=run.key.run, reason=str(error))
            self._open.forget(run.key)
        except TryAgain as error:
            log.info("will look after it again", action="keep_again", run=run.key.run, reason=str(error))
            self._later(run.key)
        except Exception as error:
            log.error("cannot look after a run", action="keep_failed", run=run.key.run, exc_info=error)
            self._later(run.key)

    def _later(self, key: RunKey) -> None:
        if key not in self._put_off:
            self._put_off.add(key)
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._again, key)

    def _again(self, key: RunKey) -> None:
        self._put_off.discard(key)
        if key in self._open:
            self._open.touched[key] = None
            self._touched.set()

    async def _do(self, run: OpenRun) -> None:
        now = self._clock.now()
        if run.cancel:
            await self._end(run, run.cancel)
        elif await self._is_over(run):
            self._open.forget(run.key)
        elif await self._is_orphan(run):
            await self._stop(run, Cancel(reason="The run that asked for it has ended."))
        elif run.deadline <= now:
            events = await fold(self._bus, run.key.everything)
            await self._stop(run, out_of_time(run, events, self._open.children(run.key)))
        elif run.waits_for_same:
            await self._look_ahead(run, now)
        elif run.due <= now:
            await self._end_of_queue(run)
        elif run.parked and not run.placed and not self._open.earlier(run):
            await self._route(run)

    async def _look_ahead(self, run: OpenRun, now: datetime) -> None:
        """Once no other run is at work on the same question, or that takes too long, it is routed."""
        if self._open.ahead(run) is None or run.queue_ends <= now:
            await self._route(run)

    async def _end(self, run: OpenRun, cancel: Cancel) -> None:
        log.info("ended", action="run_ended", run=run.key.run, code=cancel.code, reason=cancel.reason)
        await end_run(self._bus, run.key, cancelled(cancel), at_least=run.placed)
        self._open.forget(run.key)

    async def _stop(self, run: OpenRun, cancel: Cancel) -> None:
        await append(self._bus, run.key.cancel, cancel)

    async def _is_over(self, run: OpenRun) -> bool:
        """Whether it has an answer already: a task that was written behind that one brings a run back without its
        request, and no answer removes it any more.
        """
        return not run.asked and await self._is_answered(run.key)

    async def _is_orphan(self, run: OpenRun) -> bool:
        """Nobody waits for a delegated run any more when the one that asked for it has its answer."""
        return run.parent is not None and run.parent not in self._open and await self._is_answered(run.parent)

    async def _is_answered(self, key: RunKey) -> bool:
        return await last(self._bus, key.step("answer", CLIENT).any_name) is not None

    async def _end_of_queue(self, run: OpenRun) -> None:
        events = await fold(self._bus, run.key.everything)
        workers = sum(card.agent == run.agent for card in self._routes.roster.expected())
        if run.placed and (has_begun(events) or (workers and await self._delivered(run))):
            self._open.has_begun(run)
            self.look()
        else:
            earlier = self._open.earlier(run)
            await self._stop(run, left_waiting(run, self._queue_seconds, workers=workers, earlier=earlier))

    async def _delivered(self, run: OpenRun) -> bool:
        """Whether a worker has its task, of whose work the log need not show anything yet."""
        return await delivered_up_to(self._bus, of_agent(run.agent)) >= run.placed
