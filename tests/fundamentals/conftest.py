"""A whole platform inside the test's process, on a real nats-server, with real sandboxes and the offline model."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Unpack

import pytest

from tests.conftest import wait_until
from trunkline import Agent, Client
from trunkline.bus import Bus, append, fold
from trunkline.bus.registry import AGENTS
from trunkline.bus.roster import Roster
from trunkline.client import Answered, Ways
from trunkline.contracts.codec import Event, encode
from trunkline.contracts.dialog import ModelQuery, ModelReply
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Request
from trunkline.contracts.registry import AgentCard
from trunkline.contracts.subjects import ROUTER, RunKey
from trunkline.models import OfflineModel
from trunkline.worker import WorkerSettings, working
from trunkline_router.app import routing
from trunkline_router.classifiers.lexical import LexicalClassifier
from trunkline_router.deciding.routes import Routes
from trunkline_router.settings import RouterSettings
from trunkline_tools.app import tools_service
from trunkline_tools.service_settings import ToolsSettings

Order = Literal["", "queue", "parallel", "replace"]
TOOLS = """
import os, sys, time
from pathlib import Path
from trunkline import tool

@tool
def add(a: int, b: int) -> int:
    "Add two numbers."
    return a + b

@tool(cacheable=True)
def double(number: int) -> int:
    "Double a number."
    return 2 * number

@tool(effect="write")
def deposit(amount: int, file: str) -> str:
    "Write an amount into a file: an effect that can be counted."
    with open(file, "a") as ledger:
        ledger.write(f"{amount}\\n")
    return "done"

@tool
def raises(text: str) -> str:
    "Raise an error."
    raise ValueError(text)

@tool(timeout=1)
def hangs() -> str:
    "Never come back."
    while True:
        time.sleep(0.1)

@tool
def floods() -> str:
    "Print without end."
    while True:
        print("x" * 10_000)

@tool
def exits() -> str:
    "Leave the process."
    os._exit(3)
"""


@dataclass
class CountingModel:
    """The offline model, and what it was asked."""

    asked: list[ModelQuery] = field(default_factory=list)
    model: OfflineModel = field(default_factory=OfflineModel)

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        self.asked.append(query)
        return await self.model.complete(query, on_text)

    async def close(self) -> None:
        await self.model.close()


@dataclass
class Platform:
    """What a test needs of the platform; `model` counts what is paid."""

    bus: Bus
    client: Client
    routes: Routes
    model: CountingModel = field(default_factory=CountingModel)

    @contextlib.asynccontextmanager
    async def run(self, *agents: Agent, settings: WorkerSettings | None = None) -> AsyncIterator[None]:
        """Workers for `agents` while inside."""
        names = {agent.name for agent in agents}
        async with working(self.bus, agents, self.model, lambda name: (f"offline:{name}",), settings=settings):
            await wait_until(lambda: names <= set(self.routes.agents()), f"the router knows {names}")
            yield

    async def ask(
        self, text: str, *, conversation: str = "", agent: str = "", **ways: Unpack[Ways]
    ) -> tuple[str, list[Event]]:
        """The answer, or the failure's code and message; and the run's events in order."""
        key = RunKey.checked(new_run_id(), conversation or new_conversation_id())
        asking = self.client.stream(text, run=key.run, conversation=key.conversation, agent=agent, timeout=60, **ways)
        async for item in asking:
            if isinstance(item, Answered):
                said = f"{item.error.code}: {item.error.message}" if item.error else item.text
                return said, await fold(self.bus, key.everything)
        raise AssertionError("a stream ends with its answer")

    async def announce(self, card: AgentCard) -> None:
        """Put a card into the registry that nobody keeps alive."""
        await self.bus.mailbox.request(f"$KV.{AGENTS}.{card.agent}.{card.worker}", encode(card))
        await wait_until(lambda: card.agent in self.routes.agents(), f"the router knows {card.agent}")

    async def asked(
        self, text: str, *, conversation: str = "", agent: str = "", order: Order = "", deadline: datetime | None = None
    ) -> RunKey:
        """A question that nobody watches."""
        key = RunKey.checked(new_run_id(), conversation or new_conversation_id())
        request = Request(text=text, agent=agent, first=not conversation, order=order, deadline=deadline)
        await append(self.bus, key.step("request", ROUTER), request)
        return key

    async def answer(self, key: RunKey) -> Answer:
        """How a run ended, once it has."""
        answers: list[Answer] = []

        async def answered() -> bool:
            answers[:] = [
                event.fact for event in await fold(self.bus, key.everything) if isinstance(event.fact, Answer)
            ]
            return bool(answers)

        await wait_until(answered, f"an answer of run {key.run}")
        return answers[0]

    async def until(self, key: RunKey, kind: str) -> Event:
        """The first fact of this kind in a run, once it is there."""
        found: list[Event] = []

        async def there() -> bool:
            found[:] = [each for each in await fold(self.bus, key.everything) if each.subject.kind == kind]
            return bool(found)

        await wait_until(there, f"a {kind} in run {key.run}")
        return found[0]

    async def events_of(self, run: str, conversation: str) -> list[Event]:
        return await fold(self.bus, RunKey.checked(run, conversation).everything)


@pytest.fixture
def tool_file(tmp_path: Path) -> Path:
    path = tmp_path / "tools.py"
    path.write_text(TOOLS)
    return path


@pytest.fixture
async def platform(bus: Bus, tool_file: Path) -> AsyncIterator[Platform]:
    tools = tools_service(ToolsSettings(nats_url=bus.url, tool_files=[tool_file], mcp=False))
    async with routed(bus) as made, tools.work(bus):
        yield made


@contextlib.asynccontextmanager
async def routed(bus: Bus, **settings: float | str) -> AsyncIterator[Platform]:
    """A router that is told `settings`, without tools."""
    routes = Routes(Roster(AgentCard), LexicalClassifier())
    async with routing(bus, routes, RouterSettings.model_validate({"nats_url": bus.url, **settings})):
        yield Platform(bus, Client(bus), routes)


def kinds(events: Sequence[Event]) -> list[str]:
    return [event.subject.kind for event in events]
