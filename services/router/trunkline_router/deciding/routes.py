"""Who can be sent work now, as the registry says; and what the classifier has learnt of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import structlog

from trunkline.bus.roster import Roster
from trunkline.contracts.registry import AgentCard
from trunkline_router.classifiers.classify import Classifier, RouteCard, Verdict
from trunkline_router.classifiers.known import known_questions, normalised
from trunkline_router.learning.difficulty import Difficulty, Embeds
from trunkline_router.learning.lessons import Lessons, Taught

log = structlog.get_logger("trunkline.router")

LOOK_SECONDS = 0.2
"""Agents that left without a word are noticed by the clock."""
PATIENCE_SECONDS = 1.0
"""How long a question waits for what is new to be learnt. After that, what was learnt before must do."""
SHORT = 80
"""Characters up to which a question is classified at once, in some milliseconds; a longer one, which may take a
hundred, in a thread.
"""
EXAMPLE = "example"
"""As a verdict's source: the question is one of the agent's examples."""


class Routes:
    """The live agents. What comes, changes or leaves is learnt beside the work, in a thread; so are the lessons of
    people's feedback.
    """

    def __init__(self, roster: Roster[AgentCard], classifier: Classifier) -> None:
        self.roster = roster
        self._classifier = classifier
        self.difficulty = Difficulty(classifier)
        self.lessons = Lessons()
        self._taught = Taught()
        self._learnt: set[RouteCard] = set()
        self._studied = self._taught
        self._known: Mapping[str, str] = {}
        self._caught_up = asyncio.Event()

    @contextlib.asynccontextmanager
    async def learning(self) -> AsyncIterator[None]:
        """Keep up with the roster while inside; on entering, whoever is there has been learnt."""
        await self.catch_up()
        task = asyncio.create_task(self._keep_learning(), name="learn routes")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def encoder(self) -> Embeds | None:
        """What turns texts into points, where there is an encoder."""
        return self._classifier if isinstance(self._classifier, Embeds) else None

    def agents(self) -> dict[str, AgentCard]:
        """By name: those whose heartbeat is fresh, and those that are likely being restarted."""
        return {
            card.agent: card for card in sorted(self.roster.expected(), key=lambda card: (card.version, card.worker))
        }

    def choosable(self) -> dict[str, AgentCard]:
        """Those of them that the router may pick: a hidden one gets only what names it."""
        return {name: card for name, card in self.agents().items() if not card.hidden}

    def generalist(self) -> str | None:
        """Who takes what fits nobody well."""
        return next((name for name, card in sorted(self.choosable().items()) if card.generalist), None)

    def cards(self) -> list[RouteCard]:
        """The specialists, as the classifier may learn them."""
        return sorted((card for card in self._routes() if not card.generalist), key=lambda card: card.label)

    async def settled(self) -> None:
        """Wait while agents that are new are being learnt, a second at most; nobody waits for lessons."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while self._routes() != self._learnt:
                    self._caught_up.clear()
                    await self._caught_up.wait()

    def known(self, question: str) -> Verdict | None:
        """Of the agent, a generalist too, among whose examples the question stands word for word, if it is only one."""
        label = self._known.get(normalised(question), "")
        return Verdict(label, 1.0, EXAMPLE) if label in self.choosable() else None

    async def classify(self, question: str) -> Verdict:
        """Among the specialists, as last learnt; the generalist takes what is left."""
        if len(question) <= SHORT:
            verdict = self._classifier.classify(question)
        else:
            verdict = await asyncio.to_thread(self._classifier.classify, question)
        if verdict.label in self.choosable():
            return verdict
        return Verdict("", 0.0, verdict.source, verdict.scores)

    def teach(self, taught: Taught) -> None:
        """What the lessons on the log come to, in place of what they came to before; learnt within a second."""
        self._taught = taught

    def _routes(self) -> set[RouteCard]:
        return {
            RouteCard(name, card.description, card.examples, card.generalist) for name, card in self.choosable().items()
        }

    async def _keep_learning(self) -> None:
        while True:
            changed = self.roster.changed
            try:
                await self.catch_up()
            except Exception as error:  # a router that stopped learning would misroute in silence
                log.error("cannot learn the agents", action="learning_failed", exc_info=error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await changed.wait()

    async def catch_up(self) -> None:
        """Learn what is new. The event loop goes on meanwhile, and the classifier answers by what it learnt before."""
        wanted, taught, before = self._routes(), self._taught, self._studied
        if taught.outcomes != before.outcomes:
            await asyncio.to_thread(self.difficulty.learn, taught.outcomes)
        ordered = sorted(wanted, key=lambda route: route.label)
        is_new = wanted != self._learnt or taught.examples != before.examples
        if is_new:
            routes = [_with_lessons(route, taught) for route in ordered if not route.generalist]
            await asyncio.to_thread(self._classifier.fit, routes)
        if is_new or taught.hearsay != before.hearsay:
            routes = [_with_lessons(route, taught, known=True) for route in ordered]
            self._known = await asyncio.to_thread(known_questions, routes)
            self._learnt = wanted
        self._studied = taught
        self._caught_up.set()


def _with_lessons(route: RouteCard, taught: Taught, *, known: bool = False) -> RouteCard:
    """The examples of its author, then those of the lessons; without hearsay, if they are to be `known`."""
    lessons = taught.examples.get(route.label, ())
    learnt = [text for text in lessons if not (known and normalised(text) in taught.hearsay)]
    return replace(route, examples=tuple(dict.fromkeys((*route.examples, *learnt))))
