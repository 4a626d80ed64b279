"""The world outside the log, in which effects are counted: a model that is paid, tools that leave marks, a person."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

import orjson

from tests.simulation.jetstream import Log
from tests.simulation.laws import Laws
from tests.simulation.questions import WRITES, calls_in, label_of, spoken, value_of
from tests.simulation.scenario import INPUT_PICO, OUTPUT_PICO, Scenario
from tests.simulation.stored import Stored
from tests.simulation.world import Process, World
from trunkline.contracts.codec import encode
from trunkline.contracts.dialog import AssistantMessage, ModelQuery, ModelReply, ToolMessage, Usage, UserMessage
from trunkline.contracts.errors import ModelFailed
from trunkline.contracts.messages import Decision, Failure
from trunkline.contracts.registry import ToolCard
from trunkline_tools.sandbox.contract import Outcome


@dataclass
class ScriptedModel:
    """What a worker pays for. It answers from the messages alone, however often it is asked."""

    process: Process
    laws: Laws
    scenario: Scenario

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        since = max(index for index, message in enumerate(query.messages) if isinstance(message, UserMessage))
        question, later = query.messages[since], query.messages[since + 1 :]
        assert isinstance(question, UserMessage)
        world = self.process.world
        fails, spent, usage = world.chance(self.scenario.flaky), world.chance(0.5), self._usage(query)
        cost = usage.input_tokens * INPUT_PICO + usage.output_tokens * OUTPUT_PICO if spent or not fails else 0
        self.laws.pays(self.process.name, label_of(question.text), query.model, cost)
        if world.chance(0.1):
            on_text("…")
        await asyncio.sleep(_seconds(world, self.scenario.slow))
        if fails:
            raise ModelFailed("It is too busy.", retryable=True, spent=spent)
        turn = sum(isinstance(message, AssistantMessage) for message in later)
        calls = calls_in(question.text, turn)
        told = ["failed" if each.failed else str(each.content) for each in later if isinstance(each, ToolMessage)]
        text = "" if calls else spoken(question.text, told)
        return ModelReply(model=query.model, text=text, calls=calls, usage=usage)

    def _usage(self, query: ModelQuery) -> Usage:
        """As much as it may be, now and then."""
        world = self.process.world
        most = query.max_output_tokens
        used = most if world.chance(0.3) else world.random.randrange(1, most)
        return Usage(input_tokens=world.random.randrange(1, 10), output_tokens=used)

    async def close(self) -> None: ...


@dataclass
class MarkingSandbox:
    """Runs tools in processes of their own, which end with the executor's and do not freeze with it. `book` has its
    effect in the middle of its work.
    """

    process: Process
    laws: Laws
    scenario: Scenario

    async def describe(self) -> tuple[ToolCard, ...]:
        return ()

    async def call(
        self, tool: str, arguments: dict[str, Any], *, timeout: float, call_id: str, reconcile: bool = False
    ) -> Outcome:
        world, key = self.process.world, arguments["key"]
        seconds = _seconds(world, self.scenario.slow)
        ended: asyncio.Future[Outcome] = self.process.create_future()
        if reconcile:
            world.after(seconds, self.process.hear, self._end, ended, self._looked_up(tool, key))
            return await ended
        self.laws.starts_tool(self.process.name, key, write=tool in WRITES)
        fails = world.chance(self.scenario.flaky)
        if tool in WRITES:
            world.after(seconds * world.random.random(), self._effect, key, ended)
        failure = Failure(code="tool_failed", message="It broke.", data={"passing": True, "reason": "exited"})
        outcome = Outcome(error=failure) if fails else Outcome(value=value_of(tool, key))
        world.after(seconds, self.process.hear, self._end, ended, outcome)
        return await ended

    def _effect(self, key: str, ended: asyncio.Future[Outcome]) -> None:
        if self.process.alive and not ended.done():
            self.laws.has_effect(key)

    def _end(self, ended: asyncio.Future[Outcome], outcome: Outcome) -> None:
        if not ended.done():
            ended.set_result(outcome)

    def _looked_up(self, tool: str, key: str) -> Outcome:
        done = self.laws.effects[key] > 0
        return Outcome(value={"done": True, "value": value_of(tool, key)} if done else {"done": False})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None: ...


@dataclass
class Person:
    """Decides about calls in doubt, after a while, by looking whether the effect is there."""

    world: World
    log: Log
    laws: Laws

    def asked(self, approval: Stored) -> None:
        self.world.after(self.world.random.uniform(0.01, 60), self._decide, approval)

    def _decide(self, approval: Stored) -> None:
        body = orjson.loads(approval.data)
        subject = approval.subject.replace(".approval.", ".decision.")
        key, tool = body["arguments"]["key"], approval.subject.split(".")[5]
        undone: Literal["not_done", "retry"] = self.world.random.choice(("not_done", "retry"))
        decision = Decision(
            id=f"d-{approval.sequence}",
            verdict="done" if self.laws.effects[key] else undone,
            by="a person",
            arguments_hash=body["arguments_hash"],
            value=value_of(tool, key),
        )
        if self.log.last(subject) is None:
            self.log.put(subject, encode(decision))


def _seconds(world: World, slow: float) -> float:
    """How long a model or a tool takes."""
    return world.random.uniform(6, 25) if world.chance(slow) else world.random.uniform(0.001, 0.2)
