"""One message, one turn: what a worker does with a task, or with the result that brings a run back."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from msgspec.structs import replace

from trunkline.agent import SMALL, Agent
from trunkline.budget import Budgets, Spender
from trunkline.bus import Bus, Lease, StoredMessage, append, fold, last, read_event
from trunkline.bus.cancels import Cancels
from trunkline.bus.clock import ServerClock
from trunkline.cache import SingleFlight
from trunkline.contracts.codec import Event
from trunkline.contracts.dialog import ModelQuery
from trunkline.contracts.errors import (
    BadMessage,
    BusUnavailable,
    Closing,
    DeadlinePassed,
    Divergence,
    RunFailed,
    Superseded,
    TrunklineError,
)
from trunkline.contracts.messages import Answer, Cancel, Failure, Task
from trunkline.contracts.subjects import RunKey
from trunkline.models.port import ModelClient, is_offline
from trunkline.prices import PriceBook
from trunkline.run.account import accounted
from trunkline.run.ending import answer_subject, cancelled, end_run, hand_up
from trunkline.run.engine import Engine, Stopped, Suspended
from trunkline.run.loop import flow_of
from trunkline.run.model_cache import ModelCache
from trunkline.run.model_step import ModelCalls
from trunkline.run.purse import Allowance, Background, Purse
from trunkline.run.run import Run, Surroundings
from trunkline.run.state import RunState, carrier, state_of
from trunkline.run.tiers import note_saving
from trunkline.worker.handover import hand_over

log = structlog.get_logger("trunkline.worker")

OLD = timedelta(seconds=10)
"""For so long a task is taken to be open without a look at the log: a run that was ended sooner may be paid for."""
BRIEF_TOKENS = 512
BRIEFLY = "Answer briefly, in a few sentences."


@dataclass(frozen=True)
class Worker:
    """A process's readiness to run one agent. `version` is of the agent's code, `model_timeout` total seconds of one
    model call with its `model_retries`, `clock` the server's, if deadlines are to be kept; `colleagues` are the agent's
    workers that have a given version; `cacheable` says of a tool whether answers that it went into may be given again.
    Without `budgets`, nothing limits what is spent; without `flights`, no model's reply is given again.
    """

    bus: Bus
    agent: Agent
    models: ModelClient
    surroundings: Surroundings
    cancels: Cancels
    id: str
    prices: PriceBook = field(default_factory=PriceBook)
    version: str = ""
    model_timeout: float = 120.0
    model_retries: int = 2
    turn_timeout: float = 900.0
    clock: ServerClock | None = None
    colleagues: Callable[[str], Sequence[str]] = lambda _: ()
    cacheable: Callable[[str], bool] = lambda _: False
    flights: SingleFlight | None = None
    budgets: Budgets | None = None

    async def handle(self, lease: Lease) -> None:
        """Fold, work, record, acknowledge: in that order. Raises Superseded, BusUnavailable, WireViolation."""
        event = await read_event(self.bus, lease.message)
        async with Background() as background:
            with self.cancels.of(event.subject.run) as stop:
                await self._handle(event, lease, stop, background)

    async def _handle(self, event: Event, lease: Lease, stop: asyncio.Event, background: Background) -> None:
        state = await self._state(event, lease)
        if state.task is None:
            raise BadMessage(f"{lease.message.subject} belongs to no task that can be read.")
        if state.answer is None and carrier(state) == lease.sequence:
            try:
                state.answer = accounted(state, await self._work(state, lease, stop, background), self.cacheable)
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

        A task that says all there is to know, and that nobody has had before, is its own fold; unless it has stood
        there for a while, and the run may have been ended, or the router has paid for it.
        """
        key = RunKey.of(event.subject)
        if isinstance(event.fact, Task) and lease.fresh and _is_all(event.fact) and not self._is_old(lease):
            return state_of(key, [event])
        events = await fold(self.bus, key.everything, at_least=lease.sequence)
        state = state_of(key, events)
        if state.answer is None and state.task and not _says_all(state.task):
            earlier = await self._conversation(key, state.task_sequence)
            return state_of(key, sorted(events + earlier, key=lambda found: found.sequence))
        return state

    def _is_old(self, lease: Lease) -> bool:
        return self.clock is not None and self.clock.now() - lease.message.at > OLD

    async def _conversation(self, key: RunKey, placed: int) -> list[Event]:
        """What was said beside the run. At least as new as its task: a replica that does not know an answer before it
        would make the same step ask for something else.
        """
        told = await fold(self.bus, *key.history, *key.remarks, key.tasks, at_least=placed)
        return [event for event in told if event.subject.run != key.run]

    async def _work(self, state: RunState, lease: Lease, stop: asyncio.Event, background: Background) -> Answer:
        parent = state.task.parent if state.task else None
        if state.cancel:
            return Answer(agent=self.agent.name, parent=parent, error=cancelled(state.cancel))
        try:
            text = await self._flow(state, lease, stop, background)
        except (Closing, BusUnavailable):
            raise
        except Divergence as error:
            await self._hand_over(state, lease)
            return Answer(agent=self.agent.name, parent=parent, error=self._failure(error, state))
        except Stopped:
            return Answer(agent=self.agent.name, parent=parent, error=cancelled(await self._said(state.key)))
        except Exception as error:  # noqa: BLE001  # the agent's code may fail in any way; the user is told
            return Answer(agent=self.agent.name, parent=parent, error=self._failure(error, state))
        return Answer(agent=self.agent.name, parent=parent, text=text)

    async def _flow(self, state: RunState, lease: Lease, stop: asyncio.Event, background: Background) -> str:
        engine = Engine(self.bus, state, sequence=lease.sequence, delivery=lease.delivery, stop=stop)
        calls = ModelCalls(
            engine,
            self.models,
            self._purse(state, background),
            agent=self.agent.name,
            worker=self.id,
            version=self.version,
            timeout=self.model_timeout,
            retries=self.model_retries,
            end=self._end(state),
            cache=ModelCache.of(self.flights, engine, self.agent, self.cacheable),
        )
        run = Run(engine, self.agent, calls, self.surroundings, version=self.version)
        text = await self._in_time(engine.drive(flow_of(self.agent)(run)))
        if not isinstance(text, str):
            raise RunFailed(
                f"The flow of agent {self.agent.name} returned {type(text).__name__}, not a text.",
                "Return a str from the flow.",
            )
        resolve = self.surroundings.resolve_model
        await run.shortening.note_savings(self.prices, calls.asked)
        await note_saving(engine, self.agent, run.tier_use, self.prices, resolve)
        return text

    def _purse(self, state: RunState, background: Background) -> Purse:
        if self.budgets is None:
            return Purse(self.prices)
        key = state.key
        spender = Spender(key.tenant, key.conversation, state.root, state.user, self.agent.name)
        return Purse(self.prices, Allowance(self.budgets, spender, background), self._cheaper)

    def _cheaper(self, query: ModelQuery) -> Iterator[ModelQuery]:
        """What the agent asks rather than to be refused: the small tier; and that with a short answer.

        The offline model is a tier where nobody has named one. It answers nothing, so to be refused is better.
        """
        if self.agent.over_budget == "cheaper":
            models = self.surroundings.resolve_model(SMALL)
            small = [
                replace(query, model=model) for model in models if is_offline(query.model) or not is_offline(model)
            ]
            yield from small
            for each in small:
                told = f"{each.instructions}\n\n{BRIEFLY}".strip()
                most = min(each.max_output_tokens, BRIEF_TOKENS)
                yield replace(each, instructions=told, max_output_tokens=most)

    def _end(self, state: RunState) -> float:
        """When the run is over, by the event loop's clock."""
        if self.clock is None or state.deadline is None:
            return math.inf
        return asyncio.get_running_loop().time() + (state.deadline - self.clock.now()).total_seconds()

    async def _hand_over(self, state: RunState, lease: Lease) -> None:
        """To a worker that has the code which asked last, where that is wanted. Raises Superseded when one takes it."""
        if self.agent.on_divergence == "old" and state.version != self.version:
            workers = self.colleagues(state.version)
            if await hand_over(self.bus, self.agent.name, workers, lease):
                raise Superseded(f"a worker with version {state.version} goes on")

    async def _said(self, key: RunKey) -> Cancel:
        """Why the run is to stop; what was heard may not be what was recorded."""
        found = await last(self.bus, str(key.cancel))
        return found.fact if found and isinstance(found.fact, Cancel) else Cancel()

    async def _in_time(self, driving: Coroutine[Any, Any, str]) -> str:
        clock = asyncio.timeout(self.turn_timeout)
        try:
            async with clock:
                return await driving
        except TimeoutError as error:
            if not clock.expired():  # the agent's own
                raise
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


def _is_all(task: Task) -> bool:
    """Whether nothing else is on the log of its run but the request."""
    return _says_all(task) and not task.route.asked


def _says_all(task: Task) -> bool:
    """Whether nothing was said before that it leaves out."""
    return bool(task.text) and (task.first or task.parent is not None)
