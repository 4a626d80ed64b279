"""The same questions, asked of both: everything to the large model by hand, and the platform as it is."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from bench import cost_bank
from bench.cost_assumed import Assumed, Models, Opinions
from bench.cost_model import Paid, Quality, StandIn, label_of, seconds_of
from bench.cost_stream import Asked, Stream, chance
from trunkline.agent import LARGE, SMALL, Agent
from trunkline.bus import Bus, follow, provision
from trunkline.bus.stored import StoredMessage
from trunkline.client import Client, Reply
from trunkline.contracts.dialog import AssistantMessage, Message, ModelQuery, ToolMessage, Usage, UserMessage
from trunkline.contracts.errors import DeadlinePassed, RunFailed
from trunkline.contracts.subjects import TRUNK
from trunkline.host.server import EmbeddedServer, free_port
from trunkline.prices import Money, PriceBook
from trunkline.worker import working
from trunkline_router.app import router_service
from trunkline_router.deciding import hosted
from trunkline_router.settings import RouterSettings
from trunkline_tools.app import tools_service
from trunkline_tools.service_settings import ToolsSettings

AT_ONCE = 8
ASK_SECONDS = 60.0
VERSION = "1"
Progress = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Answered:
    """How a question ended. `run` is empty without a platform; `seconds`: with what a real model takes, or without it
    on the platform, where the log says which calls were made.
    """

    asked: Asked
    text: str
    run: str = ""
    seconds: float = 0.0
    cost: Money = field(default_factory=Money)
    calls: int = 0
    usage: Usage = field(default_factory=Usage)

    @property
    def right(self) -> bool:
        return label_of(self.text) == self.asked.intent


async def baseline(
    stream: Stream, agents: Sequence[Agent], models: Models, prices: PriceBook, progress: Progress
) -> list[Answered]:
    """Each question to the large model, with the instructions of the very desk that knows, and all that was said."""
    model, by_name = StandIn(stream, models), {agent.name: agent for agent in agents}
    said: dict[int, list[Message]] = {}
    found = []
    for asked in stream.asked:
        model.at[asked.text] = asked.at
        messages = [*said.get(asked.conversation, ()), UserMessage(asked.text)]
        before = len(model.paid)
        text = await _turn(model, by_name[asked.desk], models.large, messages)
        paid = model.paid[before:]
        found.append(
            Answered(
                asked,
                text,
                seconds=sum(seconds_of(LARGE, call.usage) for call in paid),
                cost=sum((prices.price(call.model, call.usage) for call in paid), Money()),
                calls=len(paid),
                usage=sum((call.usage for call in paid), Usage()),
            )
        )
        said[asked.conversation] = [*messages, AssistantMessage(text)]
        progress()
    return found


async def _turn(model: StandIn, agent: Agent, name: str, messages: Sequence[Message]) -> str:
    tools = {each.name: each for each in agent.own_tools}
    specs = tuple(each.card("", "").spec for each in tools.values())
    told = list(messages)
    while True:
        query = ModelQuery(model=name, instructions=agent.instructions, messages=tuple(told), tools=specs)
        reply = await model.complete(query, lambda _: None)
        if not reply.calls:
            return reply.text
        told.append(AssistantMessage(reply.text, reply.calls))
        told += [
            ToolMessage(call_id=call.id, tool=call.tool, content=tools[call.tool].function(**call.arguments))
            for call in reply.calls
        ]


@dataclass
class Asking:
    """Asks the platform the whole stream, some questions at once; the turns of a conversation one after the other."""

    bus: Bus
    model: StandIn
    opinions: Opinions
    stream: Stream
    progress: Progress
    _ids: dict[int, str] = field(default_factory=dict)
    _ended: dict[tuple[int, int], asyncio.Event] = field(default_factory=dict)

    async def all(self) -> list[Answered]:
        slots = asyncio.Semaphore(AT_ONCE)
        for asked in self.stream.asked:
            self._ended[asked.conversation, asked.turn] = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            tasks = []
            for asked in self.stream.asked:
                await slots.acquire()
                tasks.append(group.create_task(self._one(asked, slots), name=f"question {asked.number}"))
        return [task.result() for task in tasks]

    async def _one(self, asked: Asked, slots: asyncio.Semaphore) -> Answered:
        try:
            if asked.turn:
                await self._ended[asked.conversation, asked.turn - 1].wait()
            self.model.at[asked.text] = asked.at
            return await self._ask(asked)
        finally:
            self._ended[asked.conversation, asked.turn].set()
            slots.release()
            self.progress()

    async def _ask(self, asked: Asked) -> Answered:
        client = Client(self.bus, user=asked.user)
        began = time.perf_counter()
        try:
            reply = await client.ask(
                asked.text, conversation=self._ids.get(asked.conversation, ""), timeout=ASK_SECONDS
            )
        except (RunFailed, DeadlinePassed) as error:
            return Answered(asked, "", str(error.data.get("run", "")), time.perf_counter() - began)
        seconds = time.perf_counter() - began
        self._ids[asked.conversation] = reply.conversation
        found = Answered(asked, reply.text, reply.run, seconds)
        await self._say(client, reply, found)
        return found

    async def _say(self, client: Client, reply: Reply, found: Answered) -> None:
        asked, seed = found.asked, self.stream.seed
        if chance(seed, "says", asked.number) >= self.opinions.share:
            return
        honest = chance(seed, "honest", asked.number) < self.opinions.right
        names = honest and reply.agent != asked.desk and chance(seed, "names", asked.number) < self.opinions.corrected
        await client.feedback(reply, 1 if found.right == honest else -1, agent=asked.desk if names else "")


@dataclass(frozen=True)
class Played:
    """What the platform was asked and answered, what its log says, and what the provider charged."""

    answered: Sequence[Answered]
    log: Sequence[StoredMessage]
    paid: Sequence[Paid]
    seconds: float


async def platform(
    stream: Stream, agents: Sequence[Agent], told: Assumed, prices: PriceBook, folder: Path, progress: Progress
) -> Played:
    """On a bus of its own in `folder`: router, workers and tools as the services run them."""
    model = StandIn(stream, told.models, Quality(routes=told.cascade, notices=told.check))
    async with _running(agents, model, prices, folder, SMALL if told.cascade else "") as bus:
        began = time.perf_counter()
        answered = await Asking(bus, model, told.opinions, stream, progress).all()
        seconds = time.perf_counter() - began
        return Played(answered, await whole_log(bus), model.paid, seconds)


@contextlib.asynccontextmanager
async def _running(
    agents: Sequence[Agent], model: StandIn, prices: PriceBook, folder: Path, router_model: str
) -> AsyncIterator[Bus]:
    """The router opens the models that its settings name by itself, so the stand-in takes their place there."""
    async with EmbeddedServer(folder / "bus", free_port()).running() as server, Bus.open(server.url) as bus:
        await provision(bus)
        told = {"nats_url": server.url, "tool_files": [cost_bank.__file__], "mcp": False, "router_model": router_model}
        tools = tools_service(ToolsSettings.model_validate(told))
        router = router_service(RouterSettings.model_validate(told))
        with mock.patch.object(hosted, "open_models", return_value=model):
            async with (
                tools.work(bus),
                working(bus, agents, model, model.resolve, prices=prices, version=VERSION),
                router.work(bus),  # the last one: on entering, it has learnt whoever is there
            ):
                yield bus


async def whole_log(bus: Bus) -> list[StoredMessage]:
    found: list[StoredMessage] = []
    async for batch in follow(bus, TRUNK):
        if not batch:
            return found
        found += batch
    return found
