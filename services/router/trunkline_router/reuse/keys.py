"""Whose answer may be given to whom again: the keys under which answers are kept. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trunkline.agent import LARGE, SMALL
from trunkline.cache import CacheKey, cache_key
from trunkline.contracts.messages import Request
from trunkline.contracts.registry import AgentCard
from trunkline_router.deciding.decide import Dispatch
from trunkline_router.deciding.routes import Routes
from trunkline_router.deciding.wording import standard_form

_FORM = "answer-1"
_ALIKE = "alike-1"


@dataclass(frozen=True, slots=True)
class Question:
    """What an answer depends on, and who may have it: a user, or with None everybody of the tenant."""

    text: str
    agent: str
    version: str
    tier: str
    tenant: str
    user: str | None
    alike: bool = False

    @property
    def key(self) -> CacheKey:
        """The same for whatever question has the same standard form."""
        return self._key(_FORM, standard_form(self.text))

    @property
    def keys(self) -> tuple[CacheKey, ...]:
        """Under which an answer to it may stand: a question for the small tier may have what the large one said."""
        return (self.key, replace(self, tier=LARGE).key) if self.tier == SMALL else (self.key,)

    @property
    def group(self) -> CacheKey:
        """The same for all questions whose answers could be given here, if they meant the same."""
        return self._key(_ALIKE)

    def _key(self, *parts: str) -> CacheKey:
        return cache_key([*parts, self.agent, self.version, self.tier], tenant=self.tenant, user=self.user)


def card_of(routes: Routes, agent: str) -> AgentCard | None:
    """The agent's, if its answers may be given again: all its workers have one version, which is known, and agree."""
    cards = [card for card in routes.roster.expected() if card.agent == agent]
    terms = {(card.version, card.reuse, card.reuse_seconds, card.alike) for card in cards}
    return cards[0] if len(terms) == 1 and cards[0].version and cards[0].reuse != "off" else None


def question_of(routes: Routes, tenant: str, request: Request, found: Dispatch) -> Question | None:
    """None when the answer is for this one run only: something was said before, nobody is named, or the agent forbids
    it.
    """
    card = card_of(routes, found.agent)
    if card is None or not request.first or found.parts or found.refusal:
        return None
    return asked_of(card, tenant, request, found.tier)


def asked_of(card: AgentCard, tenant: str, request: Request, tier: str) -> Question | None:
    """None for a private answer to nobody."""
    user = None if card.reuse == "shared" else request.user
    if user == "":
        return None
    return Question(request.text, card.agent, card.version, tier, tenant, user, card.alike)
