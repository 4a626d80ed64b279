"""Wherever a worker is left behind, the next one goes the same way: with a summary, chosen tools, a trimmed result, a
check, an escalation, and model calls from the cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform, routed
from trunkline import Agent
from trunkline.bus import Bus, Recorded, append, fold
from trunkline.contracts.codec import Event
from trunkline.contracts.dialog import ModelQuery, ModelReply, ToolCall, ToolMessage, Usage
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Fact, Model, Note, Prompt, Request
from trunkline.contracts.subjects import ROUTER, RunKey, Subject
from trunkline.prices import PriceBook
from trunkline.prices.rates import Rate, Rates
from trunkline.run import engine, model_step
from trunkline.run.replay import replay
from trunkline.worker import WorkerSettings, turn, working
from trunkline_tools.app import tools_service
from trunkline_tools.service_settings import ToolsSettings

TOOLS = """
from trunkline import tool

@tool(cacheable=True)
def rows(count: int) -> list[dict]:
    "Rows of a table about parcels."
    return [{"id": number, "text": "a row of a long table"} for number in range(count)]

@tool
def refund(invoice: str) -> str:
    "Give money back."
    return "done"

@tool
def weather(city: str) -> str:
    "What the sky will be like."
    return "sunny"
"""
QUESTION = "Which rows of the table are about parcels?"
LONG = "The parcel was handed to the carrier and is on its way to you, as far as anybody here can tell. " * 6
PRICES = PriceBook({f"offline:{tier}": Rates(Rate(dear), Rate(dear)) for tier, dear in (("small", 1), ("large", 9))})


class Clerk:
    """The small tier sums up, and answers badly; the large one looks at the table, and then answers well."""

    async def complete(self, query: ModelQuery, _: Callable[[str], None]) -> ModelReply:
        used = Usage(input_tokens=100, output_tokens=10)
        if query.model == "offline:small":
            return ModelReply(model=query.model, text="It is about parcels.", usage=used, finish="stop")
        if isinstance(query.messages[-1], ToolMessage):
            return ModelReply(model=query.model, text="All of them.", usage=used, finish="stop")
        calls = tuple(ToolCall(id=each, tool="rows", arguments={"count": 500}) for each in "ab")
        return ModelReply(model=query.model, calls=calls, usage=used, finish="tool_call")

    async def close(self) -> None:
        """There is nothing to close."""


def clerk() -> Agent:
    return Agent(
        "clerk",
        model="auto",
        tools=["rows", "refund", "weather"],
        check=lambda _, answer: "All" in answer,
        temperature=0,
        history_tokens=400,
        most_tools=2,
        result_tokens=100,
        reuse="shared",
    )


class Fate:
    """Every write of a worker passes here. The one with this number is not made any more."""

    def __init__(self) -> None:
        self.written = 0
        self.fatal = 0
        self.met = asyncio.Event()

    def await_death(self, fatal: int) -> None:
        self.written, self.fatal = 0, fatal
        self.met.clear()

    async def append(self, bus: Bus, subject: Subject, fact: Fact, *, whoever: bool = False) -> Recorded:
        self.written += 1
        if self.written == self.fatal:
            self.met.set()
            await asyncio.Event().wait()
        return await append(bus, subject, fact, whoever=whoever)


@pytest.fixture
async def platform(bus: Bus, tmp_path: Path) -> AsyncIterator[Platform]:
    """One whose router does not learn that the question is too hard for the small tier."""
    path = tmp_path / "tools.py"
    path.write_text(TOOLS)
    tools = tools_service(ToolsSettings(nats_url=bus.url, tool_files=[path], mcp=False))
    async with routed(bus, router_hard=1) as made, tools.work(bus):
        yield made


@pytest.fixture
def fate(monkeypatch: pytest.MonkeyPatch) -> Fate:
    found = Fate()
    for module in (engine, model_step, turn):
        monkeypatch.setattr(module, "append", found.append)
    return found


async def talk(bus: Bus) -> str:
    """A conversation that does not fit into the agent's window."""
    conversation = new_conversation_id()
    for _ in range(4):
        key = RunKey.checked(new_run_id(), conversation)
        await append(bus, key.step("request", ROUTER), Request(text="And then?", user="ann"))
        await append(bus, key.step("answer", "client"), Answer(agent="clerk", text=LONG))
    return conversation


async def ask(platform: Platform) -> RunKey:
    key = RunKey.checked(new_run_id(), await talk(platform.bus))
    await append(platform.bus, key.step("request", ROUTER), Request(text=QUESTION, user="ann"))
    return key


async def answered(platform: Platform, key: RunKey) -> list[Event]:
    await platform.answer(key)
    return await fold(platform.bus, key.everything)


def worker(platform: Platform, cache: str) -> AbstractAsyncContextManager[None]:
    settings = WorkerSettings(drain_seconds=0, ack_wait=1, model_cache=cache)
    return working(
        platform.bus, [clerk()], Clerk(), lambda name: (f"offline:{name}",), prices=PRICES, settings=settings
    )


def said(events: Sequence[Event]) -> dict[str, object]:
    """What the run came to, whoever did it: the facts but for attempts, takeovers, and where a reply came from."""
    found: dict[str, object] = {}
    for event in events:
        subject, fact = event.subject, event.fact
        match fact:
            case Prompt():
                found[f"prompt {subject.step.rpartition('-')[0]}"] = (fact.model, fact.input_hash)
            case Model():
                found[f"model {subject.step}"] = (fact.text, fact.calls, fact.input_hash)
            case Note(what=what) if what not in ("takeover", "saving"):  # what is saved goes by what was paid
                found[f"note {subject.step}"] = what
            case Answer():
                found["answer"] = (fact.text, fact.error)
    return found


@pytest.mark.parametrize("cache", ["memory", "bus"])
async def test_whoever_takes_over_anywhere_goes_the_same_way(platform: Platform, fate: Fate, cache: str) -> None:
    async with worker(platform, cache):
        await wait_until(lambda: "clerk" in platform.routes.agents(), "the router knows the agent")
        await answered(platform, await ask(platform))
        fate.await_death(0)
        whole = await answered(platform, await ask(platform))
    expected, steps = said(whole), fate.written
    assert expected["answer"] == ("All of them.", None)
    assert {"note summary", "note tools", "note check", "note escalated"} <= expected.keys()
    assert all(each.fact.source == "cache" for each in whole if isinstance(each.fact, Model))

    for number in range(1, steps + 1):
        fate.await_death(number)
        async with worker(platform, cache):
            key = await ask(platform)
            await asyncio.wait_for(fate.met.wait(), 20)
        async with worker(platform, cache):
            events = await answered(platform, key)
        where = f"before write {number} of {steps}"
        assert said(events) == expected, where
        takeovers = sum(isinstance(each.fact, Note) and each.fact.what == "takeover" for each in events)
        prompts = sum(isinstance(each.fact, Prompt) for each in events)
        assert prompts - sum(isinstance(each.fact, Model) for each in events) == takeovers <= 1, where
        found = await replay(clerk(), key, await fold(platform.bus, key.everything, *key.around))
        assert (found.divergence, found.complete) == (None, True), where
