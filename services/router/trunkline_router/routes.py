"""Who can be sent work now, as the registry says; and what the classifier has learnt of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from trunkline.bus.roster import Roster
from trunkline.contracts.registry import AgentCard
from trunkline_router.classify import Classifier, RouteCard, Verdict

log = structlog.get_logger("trunkline.router")

LOOK_SECONDS = 0.2
"""Agents that left without a word are noticed by the clock."""
PATIENCE_SECONDS = 1.0
"""How long a question waits for what is new to be learnt. After that, what was learnt before must do."""
MOST_CORRECTIONS = 200
"""For one agent; the newest count."""


class Routes:
    """The live agents. What comes, changes or leaves is learnt beside the work, in a thread."""

    def __init__(self, roster: Roster[AgentCard], classifier: Classifier) -> None:
        self.roster = roster
        self._classifier = classifier
        self._corrections: dict[str, tuple[str, ...]] = {}
        self._learnt: set[RouteCard] = set()
        self._caught_up = asyncio.Event()

    @contextlib.asynccontextmanager
    async def learning(self) -> AsyncIterator[None]:
        """Keep up with the roster while inside; on entering, whoever is there has been learnt."""
        await self._catch_up()
        task = asyncio.create_task(self._keep_learning(), name="learn routes")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def agents(self) -> dict[str, AgentCard]:
        """By name: those whose heartbeat is fresh, and those that are likely being restarted."""
        return {
            card.agent: card for card in sorted(self.roster.expected(), key=lambda card: (card.version, card.worker))
        }

    def generalist(self) -> str | None:
        """Who takes what fits nobody well."""
        return next((name for name, card in sorted(self.agents().items()) if card.generalist), None)

    async def settled(self) -> None:
        """Wait while what is new is being learnt, a second at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while self._routes() != self._learnt:
                    self._caught_up.clear()
                    await self._caught_up.wait()

    def classify(self, question: str) -> Verdict:
        """Among the specialists, as last learnt; the generalist takes what is left."""
        verdict = self._classifier.classify(question)
        if verdict.label in self.agents():
            return verdict
        return Verdict("", 0.0, verdict.source, verdict.scores)

    def learn(self, question: str, agent: str) -> None:
        """This question was for this agent: one more example, as long as this process lives."""
        known = [each for each in self._corrections.get(agent, ()) if each != question]
        self._corrections[agent] = (*known, question)[-MOST_CORRECTIONS:]

    def _routes(self) -> set[RouteCard]:
        return {
            RouteCard(name, card.description, (*card.examples, *self._corrections.get(name, ())))
            for name, card in self.agents().items()
            if not card.generalist and not card.hidden
        }

    async def _keep_learning(self) -> None:
        while True:
            changed = self.roster.changed
            try:
                await self._catch_up()
            except Exception as error:  # a router that stopped learning would misroute in silence
                log.error("cannot learn the agents", action="learning_failed", exc_info=error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await changed.wait()

    async def _catch_up(self) -> None:
        """The event loop goes on meanwhile, and the classifier answers by what it learnt before."""
        wanted = self._routes()
        if wanted != self._learnt:
            await asyncio.to_thread(self._classifier.fit, sorted(wanted, key=lambda route: route.label))
            self._learnt = wanted
        self._caught_up.set()
