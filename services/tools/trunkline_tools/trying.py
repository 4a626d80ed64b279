"""One call in its sandbox: tried again where that may help and does no harm, and ended when its run is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from trunkline.bus import Bus, append, recorded
from trunkline.bus.clock import ServerClock
from trunkline.contracts.errors import BusUnavailable, Superseded
from trunkline.contracts.messages import Cancel, Failure, Note
from trunkline.contracts.registry import ToolCard
from trunkline.contracts.subjects import RunKey
from trunkline.tool import DEFAULT_RETRIES
from trunkline_tools import refusals
from trunkline_tools.call_state import RETRY, TOOLS, CallState
from trunkline_tools.retry import pause
from trunkline_tools.sandbox.contract import Outcome, Sandbox

log = structlog.get_logger("trunkline.tools")

LOOKS = (0.0, 0.002, 0.02, 0.1, 0.5)
"""Seconds before each look for a cancel that was heard of, which may be on its way to the log."""


@dataclass(frozen=True)
class Trying:
    """Runs one tool's calls in its sandbox. Nothing here decides whether a call may run."""

    bus: Bus
    card: ToolCard
    sandbox: Sandbox
    clock: ServerClock

    async def run(self, state: CallState, stop: asyncio.Event) -> Outcome:
        """What the call came to. `stop` is set once it is heard that the run is to stop; such a call is killed, and
        says so. Raises BusUnavailable, Superseded.
        """
        retries = self.card.retries if self.card.repeatable else 0
        return await self._heeding_cancel(state, stop, self._tries(state, retries, self.card.timeout_seconds))

    async def reconcile(self, state: CallState) -> Outcome:
        """What the tool's reconcile function says; it only looks, so it may be tried again. Raises BusUnavailable."""
        return await self._tries(state, DEFAULT_RETRIES, self.card.reconcile_seconds, reconcile=True)

    async def _tries(self, state: CallState, retries: int, seconds: float, *, reconcile: bool = False) -> Outcome:
        key, step, tries = RunKey.of(state.event.subject), state.event.subject.step, state.tries
        while True:
            outcome = await self.sandbox.call(
                self.card.tool,
                state.call.arguments,
                timeout=seconds,
                call_id=f"{key.run}-{step}",
                reconcile=reconcile,
            )
            wait = pause(outcome.error, tries, retries) if outcome.error else None
            if wait is None or outcome.error is None or self._too_late(state, wait):
                return outcome
            tries += 1
            note = key.step("note", TOOLS, f"{RETRY}{step}-{tries}")
            if not (await append(self.bus, note, self._note(outcome.error, wait))).own:
                raise Superseded(f"{self.card.tool} is tried by somebody else")
            await asyncio.sleep(wait)

    def _too_late(self, state: CallState, wait: float) -> bool:
        deadline = state.call.deadline
        return deadline is not None and self.clock.now() + timedelta(seconds=wait) > deadline

    def _note(self, failure: Failure, wait: float) -> Note:
        data = {
            "tool": self.card.tool,
            "code": failure.code,
            "message": failure.message,
            "wait_seconds": round(wait, 3),
        }
        return Note(what="retry", data=data)

    async def _heeding_cancel(
        self, state: CallState, stop: asyncio.Event, work: Coroutine[Any, Any, Outcome]
    ) -> Outcome:
        """The work's outcome; when the run is cancelled meanwhile, the work is broken off, as by `asyncio.timeout`."""
        key, working = RunKey.of(state.event.subject), asyncio.current_task()
        said: list[Cancel] = []

        async def break_off() -> None:
            said.append(await self._recorded_cancel(key, stop))
            if working:
                working.cancel()

        stopping = asyncio.create_task(break_off(), name=f"stop {key.run}")
        try:
            return await work
        except asyncio.CancelledError:
            if not said or (working and working.uncancel() > 0):  # this process is to stop
                raise
        finally:
            stopping.cancel()
        failure = refusals.cancelled(self.card.tool, said[0], running=True)
        return Outcome(error=failure, isolation=self.card.isolation)

    async def _recorded_cancel(self, key: RunKey, stop: asyncio.Event) -> Cancel:
        """What was heard is a hint; that the run is to stop stands on the log."""
        while True:
            await stop.wait()
            stop.clear()
            for seconds in LOOKS:
                await asyncio.sleep(seconds)
                try:
                    found = await recorded(self.bus, str(key.cancel))
                except BusUnavailable as error:
                    log.info("cannot look for a cancel", action="cancel_unread", run=key.run, reason=error.what)
                    continue
                if found and isinstance(found.fact, Cancel):
                    return found.fact
