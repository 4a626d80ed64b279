"""A recorded run under the agent's present code: the same engine as in recovery, and nothing is executed.

Models and tools are served from the record. The code is held to it step by step: strictly, to the same input byte for
byte; or structurally, to the same kinds of steps, and the same tools with arguments of the same shape.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import orjson

from trunkline.agent import Agent
from trunkline.bus import Bus
from trunkline.contracts.codec import Event, canonical
from trunkline.contracts.dialog import ModelQuery, ModelReply, ToolSpec
from trunkline.contracts.errors import Closing, Divergence, TrunklineError
from trunkline.contracts.messages import Answer, Failure, Model
from trunkline.contracts.subjects import RunKey
from trunkline.models.port import ModelClient
from trunkline.prices import PriceBook
from trunkline.run.divergence import Difference, Record, diverged
from trunkline.run.engine import Engine, Found
from trunkline.run.inputs import Asked, ModelInput
from trunkline.run.loop import flow_of
from trunkline.run.model_step import ModelCalls, Queries
from trunkline.run.purse import Purse
from trunkline.run.run import Run, Surroundings
from trunkline.run.state import RunState, state_of

Mode = Literal["strict", "structural"]

ANSWER = "answer"
EVERY_TURN = 1 << 62


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it. `served`: how many recorded steps the code asked for. `divergence`: the first step at which it
    asks for something else. `complete`: the code came to its end; without a divergence it does not when the record
    ends before, since the run was stopped, failed, or still goes on.
    """

    run: str
    agent: str
    served: int
    complete: bool
    divergence: Difference | None = None


async def replay(agent: Agent, key: RunKey, events: Sequence[Event], *, mode: Mode = "strict") -> Replayed:
    """Run the agent's code against the record: the run's events and those `around` it."""
    state = state_of(key, events)
    engine = _Held(state, Record(key, events), mode)
    run = Run(engine, agent, _Recorded(engine), _SURROUNDINGS)
    try:
        engine.check_end(await _said(engine, flow_of(agent)(run)))
        complete = True
    except (_EndOfRecord, Divergence):
        complete = False
    return Replayed(key.run, agent.name, engine.served, complete, engine.difference)


class _EndOfRecord(Closing):
    """The code asks for a step that the run never came to."""


class _NoBus(Bus):
    """Whoever touches it makes a mistake: a replay writes nothing and asks nobody."""

    def __init__(self) -> None:
        """Connects to nothing."""


class _Held(Engine):
    """An engine that serves what is recorded, whichever turn it was of, and compares what is asked with it."""

    def __init__(self, state: RunState, record: Record, mode: Mode) -> None:
        super().__init__(_NoBus(), state, sequence=0, delivery=0, stop=asyncio.Event())
        self._turn = EVERY_TURN
        self._record = record
        self._mode = mode
        self._outcomes = {*state.models, *state.results}
        self.asked: set[str] = set()
        self.difference: Difference | None = None

    @property
    def served(self) -> int:
        return len(self.asked & self._outcomes)

    def check_end(self, said: Answer) -> None:
        """Raises Divergence when the record goes on, or ends in other words."""
        for step in self._record.steps:
            if step in self._outcomes and step not in self.asked:
                raise self._differs(step, self._record.told(step), None)
        recorded = self.state.answer
        if recorded and recorded.error is None and not self._same(_words(recorded), _words(said)):
            raise self._differs(ANSWER, _words(recorded), _words(said))

    async def note(self, name: str, step: str, what: str, /, **data: object) -> None:
        """A replay leaves no remarks."""

    async def once(self, name: str, step: str, what: str, _: Callable[[], Awaitable[Found]]) -> Found:
        """From the record; code that wants to find out what the run never did asks for something else."""
        if note := self.state.notes.get((name, step)):
            return note.data
        if self.state.answer and self.state.answer.error is None:
            raise self._differs(step, None, {"note": what})
        return await self.end_of_record()

    async def end_of_record(self) -> NoReturn:
        raise _EndOfRecord("the record ends here")

    async def _issue(self) -> None:
        await self.end_of_record()

    async def _divergence(self, step: str, recorded: str, asked: Asked) -> Divergence | None:
        told, now = self._record.told(step), orjson.loads(canonical(asked.told))
        if told is None and step not in self._outcomes:
            answered = self.state.answer is not None and self.state.answer.error is None
            return self._differs(step, None, now) if answered else None
        self.asked.add(step)
        same = recorded in ("", asked.hash) if told is None else self._same(told, now)
        return None if same else self._differs(step, told, now)

    def _differs(self, step: str, recorded: dict[str, Any] | None, asked: dict[str, Any] | None) -> Divergence:
        self.difference = Difference(step, recorded, asked)
        return diverged(self.difference)

    def _same(self, recorded: dict[str, Any], asked: dict[str, Any]) -> bool:
        if self._mode == "strict":
            return canonical(recorded) == canonical(asked)
        return _structure(recorded) == _structure(asked)


class _Recorded(ModelCalls):
    """A model's replies as they were recorded."""

    def __init__(self, engine: _Held) -> None:
        purse = Purse(PriceBook())
        super().__init__(engine, _NoModel(), purse, agent="", worker="", version="", timeout=0.0, retries=0, end=0.0)
        self._held = engine

    async def _ask(self, step: str, queries: Queries, asked: ModelInput) -> Model:  # noqa: ARG002  # nobody is asked
        await self._held.check(step, "", asked)
        await self._held.end_of_record()


class _NoModel(ModelClient):
    async def complete(self, query: ModelQuery, on_text: object) -> ModelReply:  # noqa: ARG002  # nobody is asked
        raise AssertionError("a replay pays no model")

    async def close(self) -> None:
        """There is nothing to close."""


async def _said(engine: Engine, flow: Coroutine[Any, Any, str]) -> Answer:
    """How the code ends. Raises Divergence, _EndOfRecord."""
    try:
        return Answer(text=await engine.drive(flow))
    except (Closing, Divergence):
        raise
    except TrunklineError as error:
        return Answer(error=Failure.of(error))
    except Exception as error:  # noqa: BLE001  # the agent's code may fail in any way, as it may have then
        return Answer(error=Failure(code="agent_failed", message=f"{type(error).__name__}: {error}"))


def _words(answer: Answer) -> dict[str, Any]:
    return {"failed": answer.error.message} if answer.error else {"text": answer.text}


def _structure(told: dict[str, Any]) -> object:
    """Which tool with arguments of which shape, which agent, or that a model is asked, whatever it is told."""
    if "tool" in told:
        return told["tool"], _shape(told["arguments"])
    return told.get("agent", sorted(told))


def _shape(value: object) -> object:
    match value:
        case dict():
            return {name: _shape(each) for name, each in value.items()}
        case list():
            return [_shape(each) for each in value[:1]]
        case bool() | None:
            return type(value).__name__
        case int() | float():
            return "number"
    return type(value).__name__


async def _no_specs(_: Sequence[str]) -> Sequence[ToolSpec]:
    return []


async def _everybody(_: str) -> bool:
    return True


_SURROUNDINGS = Surroundings(lambda name: (name,), _no_specs, _everybody, _everybody)
