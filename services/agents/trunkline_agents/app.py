"""Hosts agents: those of the files it is given, and the built-in ones."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from trunkline import __version__
from trunkline.agent import Agent
from trunkline.budget import BudgetSettings
from trunkline.bus import Bus
from trunkline.contracts.errors import BrokenFile
from trunkline.definitions import load_definitions
from trunkline.models import ModelSettings, open_models
from trunkline.prices import PriceBook
from trunkline.service import Service
from trunkline.worker import WorkerSettings, working
from trunkline_agents.generalist import generalist
from trunkline_agents.settings import AgentsSettings
from trunkline_agents.together import together


def agents_service(settings: AgentsSettings) -> Service:
    """Raises BrokenFile, InvalidSettings."""
    agents, version = _agents(settings)
    model_settings = ModelSettings.load(settings.config)
    models, prices = open_models(model_settings), PriceBook.load(settings.config)
    budgets = BudgetSettings.load(settings.config)
    names = {name for agent in agents for name in agent.wanted_models}
    chain = {model for name in names for model in models.resolve(name)}
    worker = WorkerSettings(
        slots=settings.agent_slots,
        drain_seconds=settings.drain,
        beat_seconds=settings.agent_beat,
        ack_wait=settings.ack_wait,
        model_timeout=model_settings.timeout_seconds,
        model_retries=model_settings.retries,
        model_cache=settings.model_cache,
    )

    @contextlib.asynccontextmanager
    async def work(bus: Bus) -> AsyncIterator[None]:
        try:
            await models.prepare(names)
            await prices.prepare(*chain)
            async with working(
                bus,
                agents,
                models,
                models.resolve,
                prices=prices,
                budgets=budgets,
                version=version,
                settings=worker,
            ):
                yield
        finally:
            await models.close()

    return Service("agents", settings, work, without=lambda: models.away)


def _agents(settings: AgentsSettings) -> tuple[list[Agent], str]:
    found = [load_definitions(path) for path in settings.agent_files]
    agents = [agent for definitions in found for agent in definitions.agents]
    versions = [definitions.version for definitions in found]
    if settings.generalist:
        agents += [generalist, together]
        versions.append(__version__)
    names = [agent.name for agent in agents]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise BrokenFile(f"Two agents are named {', '.join(sorted(twice))}.", "Give each agent its own name.")
    if not agents:
        raise BrokenFile("There is no agent to run.", "Name a file that declares one: `trunkline run FILE.py`.")
    return agents, "+".join(versions)
