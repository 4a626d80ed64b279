"""One message, one turn: what a worker does with a task, or with the result that brings a run back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from trunkline.agent import Agent
from trunkline.bus import Bus, Lease, StoredMessage, append, fold, last, read_event
from trunkline.bus.cancels import Cancels
from trunkline.contracts.codec import Event
from trunkline.contracts.errors import BadMessage, BusUnavailable, Closing, DeadlinePassed, RunFailed, TrunklineError
from trunkline.contracts.messages import Answer, Cancel, Failure, Task
from trunkline.contracts.subjects import RunKey
from trunkline.models.port import ModelClient
from trunkline.run.ending import answer_subject, cancelled, end_run, hand_up
from trunkline.run.engine import Engine, Stopped, Suspended
from trunkline.run.loop import tool_loop
from trunkline.run.model_step import ModelCalls
from trunkline.run.run import Run, Surroundings
from trunkline.run.state import RunState, carrier, state_of

log = structlog.get_logger("trunkline.worker")


@dataclass(frozen=True)
class Worker:
    """A process's readiness to run one agent. `version` is of the agent's code, `model_timeout` total seconds."""

    bus: Bus
    agent: Agent
    models: ModelClient
    surroundings: Surroundings
    cancels: Cancels
    id: str
    version: str = ""
    model_timeout: float = 60.0
    turn_timeout: float = 900.0

    async def handle(self, lease: Lease) -> None:
        """Fold, work, record, acknowledge: in that order. Raises Superseded, BusUnavailable, WireViolation."""
        event = await read_event(self.bus, lease.message)
        state = await self._state(event, lease)
        if state.task is None:
            raise BadMessage(f"{lease.message.subject} belongs to no task that can be read.")
        if state.answer is None and carrier(state) == lease.sequence:
            try:
                state.answer = await self._work(state, lease)
            except Suspended:
                await lease.ack()
                return
            written = await append(self.bus, answer_subject(state), state.answer)
            if written.event and isinstance(written.event.fact, Answer):
                state.answer = written.event.fact
        if state.answer is not None and state.answer.parent:
            await hand_up(self.bus, state, state.answer.parent)
        await lease.ack()

    async def give_up(self, _message: StoredMessage, key: RunKey, failure: Failure) -> None:
        """End a run whose message is parked: whoever asked is told, the user or the agent that delegated."""
        await end_run(self.bus, key, failure, agent=self.agent.name)

    async def _state(self, event: Event, lease: Lease) -> RunState:
        """The fold of the run, and of its conversation where there is one to know.

        A task that says all there is to know, and that nobody has had before, is its own fold.
        """
        key = RunKey.of(event.subject)
        if isinstance(event.fact, Task) and lease.fresh and _says_all(event.fact):
            return state_of(key, [event])
        events = await fold(self.bus, key.everything, at_least=lease.sequence)
        state = state_of(key, events)
        if state.answer is None and state.task and not _says_all(state.task):
            return state_of(key, sorted(events + await self._conversation(key), key=lambda found: found.sequence))
        return state

    async def _conversation(self, key: RunKey) -> list[Event]:
        return [event for event in await fold(self.bus, *key.history) if event.subject.run != key.run]

    async def _work(self, state: RunState, lease: Lease) -> Answer:
        parent = state.task.parent if state.task else None
        if state.cancel:
            return Answer(agent=self.agent.name, parent=parent, error=cancelled(state.cancel))
        try:
            with self.cancels.of(state.key.run) as stop:
                text = await self._flow(state, lease, stop)
        except (Closing, BusUnavailable):
            raise
        except Stopped:
            return Answer(agent=self.agent.name, parent=parent, error=cancelled(await self._said(state.key)))
        except Exception as error:  # noqa: BLE001  # the agent's code may fail in any way; the user is told
            return Answer(agent=self.agent.name, parent=parent, error=self._failure(error, state))
        return Answer(agent=self.agent.name, parent=parent, text=text)

    async def _flow(self, state: RunState, lease: Lease, stop: asyncio.Event) -> str:
        engine = Engine(self.bus, state, sequence=lease.sequence, delivery=lease.delivery, stop=stop)
        calls = ModelCalls(
            engine,
            self.models,
            agent=self.agent.name,
            worker=self.id,
            version=self.version,
            timeout=self.model_timeout,
        )
        run = Run(engine, self.agent, calls, self.surroundings)
        flow = self.agent.own_flow or tool_loop
        text = await self._in_time(engine.drive(flow(run)))
        if not isinstance(text, str):
            raise RunFailed(
                f"The flow of agent {self.agent.name} returned {type(text).__name__}, not a text.",
                "Return a str from the flow.",
            )
        return text

    async def _said(self, key: RunKey) -> Cancel:
        """Why the run is to stop; what was heard may not be what was recorded."""
        found = await last(self.bus, str(key.cancel))
        return found.fact if found and isinstance(found.fact, Cancel) else Cancel()

    async def _in_time(self, driving: Coroutine[Any, Any, str]) -> str:
        try:
            async with asyncio.timeout(self.turn_timeout):
                return await driving
        except TimeoutError as error:
            raise DeadlinePassed(
                f"The code of agent {self.agent.name} neither answered nor asked for anything within "
                f"{self.turn_timeout:g} s.",
                "A flow should wait for nothing but `run`.",
            ) from error

    def _failure(self, error: Exception, state: RunState) -> Failure:
        if isinstance(error, TrunklineError):
            log.info("a run failed", action="run_failed", run=state.key.run, code=error.code, reason=str(error))
            return Failure.of(error)
        log.error("the agent's code failed", action="agent_failed", run=state.key.run, exc_info=error)
        return Failure(
            code="agent_failed",
            message=f"The code of agent {self.agent.name} failed: {type(error).__name__}: {error}",
            hint="Its author finds the traceback in the worker's log.",
        )


def _says_all(task: Task) -> bool:
    return bool(task.text) and (task.first or task.parent is not None)
