"""Who can be sent work now, as the registry says; and what the classifier has learnt of them."""

from __future__ import annotations

from trunkline.bus.roster import Roster
from trunkline.contracts.registry import AgentCard
from trunkline_router.classify import Classifier, RouteCard, Verdict


class Routes:
    """The live agents. Learns anew when one comes, changes or leaves."""

    def __init__(self, roster: Roster[AgentCard], classifier: Classifier) -> None:
        self.roster = roster
        self._classifier = classifier
        self._learnt: dict[str, AgentCard] = {}

    def agents(self) -> dict[str, AgentCard]:
        """By name: those whose heartbeat is fresh, and those that are likely being restarted."""
        return {
            card.agent: card for card in sorted(self.roster.expected(), key=lambda card: (card.version, card.worker))
        }

    def generalist(self) -> str | None:
        """Who takes what fits nobody well."""
        return next((name for name, card in sorted(self.agents().items()) if card.generalist), None)

    def classify(self, question: str) -> Verdict:
        """Among the specialists; the generalist takes what is left."""
        specialists = {name: card for name, card in self.agents().items() if not card.generalist}
        if _definitions(specialists) != _definitions(self._learnt):
            self._classifier.fit(
                [RouteCard(card.agent, card.description, card.examples) for card in specialists.values()]
            )
            self._learnt = specialists
        return self._classifier.classify(question)


def _definitions(cards: dict[str, AgentCard]) -> set[tuple[str, str, tuple[str, ...]]]:
    return {(card.agent, card.description, card.examples) for card in cards.values()}
