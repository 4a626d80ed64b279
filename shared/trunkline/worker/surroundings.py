"""What an agent can see of the platform: the tools on its list, the agents that it may ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from trunkline.agent import Agent
from trunkline.bus.roster import Roster
from trunkline.contracts.dialog import ToolSpec
from trunkline.contracts.registry import AgentCard, ToolCard
from trunkline.run.loop import ASK, delegate_specs
from trunkline.run.run import Surroundings

C = TypeVar("C")

PATIENCE = 3.0
"""Seconds that a step waits for a tool or an agent that is not registered."""


def surroundings(
    agent: Agent, tools: Roster[ToolCard], others: Roster[AgentCard], resolve_model: Callable[[str], tuple[str, ...]]
) -> Surroundings:
    known_tools = _Patience(lambda: tools.changed, lambda: _tools(tools))
    known_agents = _Patience(lambda: others.changed, lambda: _agents(others))

    async def specs(names: Sequence[str]) -> Sequence[ToolSpec]:
        own = [name for name in names if not name.startswith(ASK)]
        cards = await known_tools.there(own)
        found = [cards[name].spec for name in own if name in cards]
        if len(own) == len(names):
            return found
        described = await known_agents.there(agent.delegates)
        return [*found, *delegate_specs(agent, {name: card.description for name, card in described.items()})]

    async def knows_tool(name: str) -> bool:
        return name in await known_tools.there([name])

    async def knows_agent(name: str) -> bool:
        return name in await known_agents.there([name])

    return Surroundings(resolve_model, specs, knows_tool, knows_agent)


class _Patience(Generic[C]):
    """Waits for who is missing, once: whoever did not come then is not waited for again."""

    def __init__(self, changed: Callable[[], asyncio.Event], look: Callable[[], dict[str, C]]) -> None:
        self._changed = changed
        self._look = look
        self._given_up: set[str] = set()

    async def there(self, wanted: Sequence[str]) -> dict[str, C]:
        """Who is there, once all that are wanted are, or when patience is at its end."""
        found = self._look()
        try:
            async with asyncio.timeout(PATIENCE):
                while any(name not in found and name not in self._given_up for name in wanted):
                    await self._changed().wait()
                    found = self._look()
        except TimeoutError:
            found = self._look()
            self._given_up |= {name for name in wanted if name not in found}
        return found


def _tools(roster: Roster[ToolCard]) -> dict[str, ToolCard]:
    return {card.tool: card for card in roster.expected()}


def _agents(roster: Roster[AgentCard]) -> dict[str, AgentCard]:
    return {card.agent: card for card in roster.expected()}
