"""A worker's life: it looks around, registers, takes messages, and on leaving finishes what it holds."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

import msgspec

from trunkline.agent import Agent
from trunkline.budget import Budgets, BudgetSettings
from trunkline.bus import Bus, LeaseLoop
from trunkline.bus.cancels import Cancels
from trunkline.bus.clock import ServerClock
from trunkline.bus.consumers import of_agent
from trunkline.bus.dead import parking
from trunkline.bus.lease import all_running
from trunkline.bus.registry import AGENTS, TOOLS, registered
from trunkline.bus.roster import Roster
from trunkline.cache import Cache, SingleFlight, open_store
from trunkline.contracts.registry import AgentCard, Reuse, ToolCard
from trunkline.models.port import ModelClient
from trunkline.prices import PriceBook
from trunkline.run.loop import ASK
from trunkline.worker.handover import taking_over
from trunkline.worker.surroundings import surroundings
from trunkline.worker.turn import Worker


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All in seconds but `slots`, the runs at a time per agent, and `model_cache`, where models' replies are kept: in
    `memory`, on the `bus`, at a `redis://` URL, or not at all: `off`.

    `drain_seconds`: how long runs may go on once the process is to stop. `model_timeout`: total, of one model call
    with up to `model_retries` at each of its models. `turn_timeout`: of all that an agent's code does before it waits.
    `ack_wait`: after how long without a heartbeat another worker takes over.
    """

    slots: int = 32
    drain_seconds: float = 20.0
    model_timeout: float = 120.0
    model_retries: int = 2
    turn_timeout: float = 900.0
    ack_wait: float = 10.0
    beat_seconds: float = 2.0
    model_cache: str = "memory"


@contextlib.asynccontextmanager
async def working(
    bus: Bus,
    agents: Sequence[Agent],
    models: ModelClient,
    resolve_model: Callable[[str], tuple[str, ...]],
    *,
    prices: PriceBook | None = None,
    budgets: BudgetSettings | None = None,
    version: str = "",
    settings: WorkerSettings | None = None,
) -> AsyncIterator[None]:
    """Run `agents` while inside: registered, so that the router sends their work here. Without `prices`, those that are
    shipped; without `budgets`, the usual ones. Raises BusUnavailable, InvalidSettings.
    """
    settings, prices = settings or WorkerSettings(), prices or PriceBook()
    tools, others = Roster(ToolCard), Roster(AgentCard)
    worker_id = f"{socket.gethostname()[:30]}-{os.getpid()}-{os.urandom(2).hex()}".replace(".", "-")
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(tools.watching(bus, TOOLS))
        await stack.enter_async_context(others.watching(bus, AGENTS))
        cancels = await stack.enter_async_context(Cancels().listening(bus))
        clock = await stack.enter_async_context(ServerClock().running(bus))
        limits = await stack.enter_async_context(Budgets(budgets or BudgetSettings(), clock).running(bus))
        flights = await stack.enter_async_context(_flights(bus, settings))
        workers = [
            Worker(
                bus=bus,
                agent=agent,
                models=models,
                surroundings=surroundings(agent, tools, others, resolve_model),
                cancels=cancels,
                id=worker_id,
                prices=prices,
                version=version,
                model_timeout=settings.model_timeout,
                model_retries=settings.model_retries,
                clock=clock,
                turn_timeout=settings.turn_timeout,
                colleagues=partial(_colleagues, others, agent.name),
                cacheable=partial(_cacheable, tools, others, agent.reuse),
                budgets=limits,
                flights=flights,
            )
            for agent in agents
        ]
        loops = [_loop(worker, settings) for worker in workers]
        await stack.enter_async_context(all_running(loops))
        for worker, loop in zip(workers, loops, strict=True):
            await stack.enter_async_context(taking_over(bus, worker.agent.name, worker_id, loop))
        cards = {f"{agent.name}.{worker_id}": card_of(agent, worker_id, version, settings) for agent in agents}
        await stack.enter_async_context(registered(bus, AGENTS, cards))
        yield


@contextlib.asynccontextmanager
async def _flights(bus: Bus, settings: WorkerSettings) -> AsyncIterator[SingleFlight | None]:
    """Over what is kept; on leaving, the store is closed."""
    store = open_store(settings.model_cache, bus)
    if store is None:
        yield None
        return
    cache = Cache(store)
    try:
        yield SingleFlight(cache)
    finally:
        await cache.close()


def _loop(worker: Worker, settings: WorkerSettings) -> LeaseLoop:
    return LeaseLoop(
        worker.bus,
        of_agent(worker.agent.name, ack_wait=settings.ack_wait),
        worker.handle,
        park=parking(worker.bus, "agents", worker.give_up),
        slots=settings.slots,
        drain_seconds=settings.drain_seconds,
    )


def _colleagues(others: Roster[AgentCard], agent: str, version: str) -> list[str]:
    return [card.worker for card in others.live() if card.agent == agent and card.version == version]


def _cacheable(tools: Roster[ToolCard], agents: Roster[AgentCard], reuse: Reuse, name: str) -> bool:
    """Whether what a tool returns, or `ask.<agent>`, may be given again by an agent that says `reuse`: as all executors
    or workers say that offer it now.
    """
    asked = name.removeprefix(ASK)
    if asked != name:
        terms = {card.reuse for card in agents.expected() if card.agent == asked}
        return bool(terms) and terms <= {"shared", reuse} - {"off"}
    cards = [card for card in tools.expected() if card.tool == name]
    return bool(cards) and all(card.cacheable and card.effect == "read" for card in cards)


def card_of(agent: Agent, worker: str, version: str, settings: WorkerSettings) -> AgentCard:
    return AgentCard(
        agent=agent.name,
        worker=worker,
        description=agent.description,
        examples=agent.examples,
        tools=agent.tool_names,
        model=agent.model,
        version=version,
        generalist=agent.generalist,
        reuse=agent.reuse,
        reuse_seconds=agent.reuse_seconds,
        alike=agent.alike,
        hidden=agent.hidden,
        beat_seconds=settings.beat_seconds,
    )
