"""What the router would decide about questions that were asked before: by its present settings, and by a candidate's.

The same code decides, with classifiers of its own and in a thread, so that live questions do not wait. Unless it is
told to show the hosted model what a candidate would show it, nothing is written and no model is asked. For both sides
the agents are those of now, and the lessons those from before the first of the questions: else a question with feedback
would be judged by what that very feedback taught.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from trunkline.bus import Bus
from trunkline.bus.roster import Roster
from trunkline.contracts.errors import BusUnavailable, InvalidArguments, TrunklineError, UnknownAgent
from trunkline.contracts.ids import DEFAULT_TENANT
from trunkline.contracts.messages import Request
from trunkline.contracts.registry import AgentCard
from trunkline_router.classifiers.classify import Classifier, Verdict
from trunkline_router.deciding.decide import dispatch
from trunkline_router.deciding.routes import Routes
from trunkline_router.learning.lessons import Taught
from trunkline_router.settings import RouterSettings

MOST_QUESTIONS = 200
"""In one query."""
KEPT_SECONDS = 60.0
"""For so long after the last query the classifiers are kept for the next one."""


class Tried(BaseModel):
    """A question as it was asked. `partner`: the agent that its conversation was with."""

    text: str
    agent: str = ""
    partner: str = ""


class Wording(BaseModel):
    """What an agent would say of itself; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    description: str | None = None
    examples: list[str] | None = Field(default=None, max_length=10_000)


class Candidate(BaseModel):
    """Settings to be tried; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    router_confident: float | None = Field(default=None, ge=0, le=1)
    router_hard: float | None = Field(default=None, ge=0, le=1)
    router_model: str | None = None
    routes: dict[str, Wording] = Field(default_factory=dict)

    @property
    def settings(self) -> dict[str, float | str]:
        return self.model_dump(exclude={"routes"}, exclude_none=True)


class Trial(BaseModel):
    """A page of questions, all of which were asked since then. `hosted`: the model that the candidate would show a
    question first is left alone, or its worst price is told, or it is asked, at the cost of `user`.
    """

    since: datetime
    questions: list[Tried] = Field(max_length=MOST_QUESTIONS)
    candidate: Candidate = Field(default_factory=Candidate)
    hosted: Literal["left", "priced", "asked"] = "left"
    tenant: str = DEFAULT_TENANT
    user: str = ""


class Decided(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Agent and tier, or the code of the refusal; `unasked`: a hosted model would have been asked first, and was not
    or said nothing; `why`: what kept it from being asked. `ms`: how long it took to decide.
    """

    agent: str = ""
    tier: str = ""
    source: str = ""
    confidence: float = 0.0
    refusal: str = ""
    unasked: bool = False
    why: str = ""
    ms: float = 0.0


class Hosted(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars that showing the candidate's model what it is to see may cost, or did; without `unknown` calls, of
    which nobody knows it.
    """

    cost: str = "0"
    unknown: int = 0


class Tryout(msgspec.Struct, frozen=True, kw_only=True):
    """One of each for every question: by the present settings, and by the candidate's. `hosted` is None where that
    model is left alone.
    """

    now: tuple[Decided, ...]
    candidate: tuple[Decided, ...]
    hosted: Hosted | None = None


@dataclass(frozen=True)
class _Side:
    """Settings, and routes that were learnt for them."""

    settings: RouterSettings
    cards: tuple[AgentCard, ...]
    taught: Taught
    routes: Routes


class Backtest:
    """Call it with a trial; one at a time is made."""

    def __init__(
        self,
        routes: Routes,
        settings: RouterSettings,
        new_classifier: Callable[[], Classifier],
        bus: Callable[[], Bus | None],
    ) -> None:
        self._bus = bus
        self._live = routes
        self._settings = settings
        self._new_classifier = new_classifier
        self._sides: tuple[_Side | None, _Side | None] = (None, None)
        self._one = asyncio.Lock()
        self._dropping: asyncio.TimerHandle | None = None

    async def __call__(self, trial: Trial) -> Tryout:
        """Raises UnknownAgent when none is running; InvalidArguments for one that is not, or a hosted model that nobody
        names; InvalidSettings, UnknownPrice and BusUnavailable where it is asked.
        """
        cards = tuple(sorted(self._live.agents().values(), key=lambda card: card.agent))
        if not cards:
            raise UnknownAgent("No agent is running that a question could go to.", "Start those that are to be tried.")
        changed = _changed(cards, trial.candidate)
        settings = self._settings.model_copy(update=trial.candidate.settings)
        if trial.hosted != "left" and not settings.router_model:
            raise InvalidArguments("The candidate names no hosted model.", "Set router_model in its file.")
        async with self._one:
            if self._dropping:
                self._dropping.cancel()
            taught = self._live.lessons.taught(before=trial.since)
            now, candidate = await asyncio.to_thread(
                asyncio.run, self._learnt(self._settings, cards, settings, changed, taught)
            )
            self._sides = (now, candidate)
            try:
                return await self._shown(trial, now, candidate)
            finally:
                self._dropping = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._drop)

    async def _shown(self, trial: Trial, now: _Side, candidate: _Side) -> Tryout:
        """With what the hosted model says of those that the candidate would show it."""
        tryout, left = await asyncio.to_thread(asyncio.run, _tried(trial.questions, now, candidate, {}))
        if trial.hosted == "left":
            return tryout
        if not left:
            return msgspec.structs.replace(tryout, hosted=Hosted())
        from trunkline_router.deciding.shown import showing  # a router that asks no model needs no providers

        bus, whose = self._bus(), {"tenant": trial.tenant, "user": trial.user}
        if bus is None:
            raise BusUnavailable("The router is not connected yet.", "Ask again.")
        async with showing(bus, candidate.routes, candidate.settings, **whose) as hosted:
            if trial.hosted == "priced":
                bill = hosted.most(left)
            else:
                heard, bill = await hosted.said(left)
                tryout, _ = await asyncio.to_thread(asyncio.run, _tried(trial.questions, now, candidate, heard))
        return msgspec.structs.replace(tryout, hosted=Hosted(cost=str(bill.cost), unknown=bill.unknown))

    async def _learnt(
        self,
        settings: RouterSettings,
        cards: tuple[AgentCard, ...],
        other_settings: RouterSettings,
        other_cards: tuple[AgentCard, ...],
        taught: Taught,
    ) -> tuple[_Side, _Side]:
        """Both sides; the candidate's has routes of its own only if its agents say something else of themselves."""
        now = await self._side(self._sides[0], settings, cards, taught)
        if other_cards == cards:
            return now, _Side(other_settings, cards, taught, now.routes)
        return now, await self._side(self._sides[1], other_settings, other_cards, taught)

    async def _side(
        self, before: _Side | None, settings: RouterSettings, cards: tuple[AgentCard, ...], taught: Taught
    ) -> _Side:
        if before and (before.cards, before.taught) == (cards, taught):
            return _Side(settings, cards, taught, before.routes)
        routes = Routes(_Listed(cards), self._new_classifier())
        routes.teach(taught)
        await routes.catch_up()
        return _Side(settings, cards, taught, routes)

    def _drop(self) -> None:
        self._sides = (None, None)


class _Listed(Roster[AgentCard]):
    """A roster that stays as it is."""

    def __init__(self, cards: Sequence[AgentCard]) -> None:
        super().__init__(AgentCard)
        self._listed = list(cards)

    def expected(self) -> list[AgentCard]:
        return self._listed


async def _tried(
    questions: Sequence[Tried], now: _Side, candidate: _Side, heard: Mapping[str, Verdict | TrunklineError]
) -> tuple[Tryout, dict[str, Verdict]]:
    """And the questions that the candidate's hosted model would be shown, but for those of which it was `heard`."""
    left: dict[str, Verdict] = {}
    pairs = [(await _decided(each, now, {}, {}), await _decided(each, candidate, heard, left)) for each in questions]
    return Tryout(now=tuple(one for one, _ in pairs), candidate=tuple(other for _, other in pairs)), left


async def _decided(
    question: Tried, side: _Side, heard: Mapping[str, Verdict | TrunklineError], left: dict[str, Verdict]
) -> Decided:
    unasked, why = False, ""

    async def look_up(text: str, verdict: Verdict) -> Verdict | None:
        nonlocal unasked, why
        said = heard.get(text)
        if isinstance(said, Verdict):
            return said
        unasked, why, left[text] = True, str(said or ""), verdict
        return None

    ask = look_up if side.settings.router_model else None
    request = Request(text=question.text, agent=question.agent)
    started = time.perf_counter()
    found = await dispatch(request, side.routes, side.settings, partner=question.partner, ask=ask)
    taken = (time.perf_counter() - started) * 1000
    return Decided(
        agent=found.agent,
        tier=found.tier,
        source=found.route.source,
        confidence=round(found.route.confidence, 4),
        refusal=found.refusal.code if found.refusal else "",
        unasked=unasked,
        why=why,
        ms=round(taken, 3),
    )


def _changed(cards: Sequence[AgentCard], candidate: Candidate) -> tuple[AgentCard, ...]:
    """The agents as the candidate describes them."""
    known = {card.agent for card in cards}
    strange = sorted(candidate.routes.keys() - known)
    if strange:
        raise InvalidArguments(
            f"The candidate describes {', '.join(strange)}, which is not running.",
            f"Running now: {', '.join(sorted(known)) or 'none'}. Start it, or leave it out.",
        )
    return tuple(_worded(card, candidate.routes.get(card.agent, Wording())) for card in cards)


def _worded(card: AgentCard, wording: Wording) -> AgentCard:
    return msgspec.structs.replace(
        card,
        description=card.description if wording.description is None else wording.description,
        examples=card.examples if wording.examples is None else tuple(wording.examples),
    )
