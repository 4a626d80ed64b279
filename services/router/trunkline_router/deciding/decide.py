"""The router's decision: pure policy over what is known. A cascade, the cheapest first:

1. the agent asked for, or the only one;
2. what the wording decides: small talk and what leans on the conversation, an agent's own example, several questions;
3. the router's own classifier, against the agent that the conversation is with;
4. a hosted model, for what that is not sure of; then the generalist.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from trunkline.contracts.messages import Failure, Part, Request, Route
from trunkline.contracts.registry import TOGETHER
from trunkline_router.classifiers.classify import Verdict
from trunkline_router.deciding.phrasing import Kind, kind_of
from trunkline_router.deciding.routes import Routes
from trunkline_router.deciding.several import several
from trunkline_router.deciding.talk import CONVERSATION, Talk
from trunkline_router.settings import RouterSettings

Ask = Callable[[str, Verdict], Awaitable[Verdict | None]]
"""A question, and what the router's own classifier made of it, to another verdict; None when there is none to be had.
"""


@dataclass(frozen=True)
class Dispatch:
    """To `agent`, for the reason in `route`, with models of `tier`; or to nobody, and `refusal` says why. `parts`: the
    questions that were found in it, when it is more than one.
    """

    agent: str = ""
    route: Route = field(default_factory=Route)
    tier: str = ""
    parts: tuple[Part, ...] = ()
    refusal: Failure | None = None


async def dispatch(
    request: Request, routes: Routes, settings: RouterSettings, *, partner: str = "", ask: Ask | None = None
) -> Dispatch:
    """Admission first, then the decision. `partner`: the agent that the conversation is with; `ask`: a dearer
    classifier, for what the router's own is not sure of.
    """
    refusal = admit(request, max_question=settings.router_max_question)
    if refusal:
        return Dispatch(refusal=refusal)
    found = await decide(request, routes, settings, partner=partner, ask=ask)
    return await _with_tier(found, request.text, routes, settings.router_hard)


async def _with_tier(found: Dispatch, text: str, routes: Routes, hard: float) -> Dispatch:
    """With the tier of models that the question needs, and each of its parts, where the agent leaves that open."""
    agents = routes.agents()
    tier, difficulty = await routes.difficulty.tier(agents.get(found.agent), text, hard=hard)
    if tier:
        found = replace(found, tier=tier, route=msgspec.structs.replace(found.route, difficulty=difficulty))
    parts = []
    for part in found.parts:
        tier, _ = await routes.difficulty.tier(agents.get(part.agent), part.text, hard=hard)
        parts.append(msgspec.structs.replace(part, tier=tier))
    return replace(found, parts=tuple(parts))


def admit(request: Request, *, max_question: int) -> Failure | None:
    """Why this question is not let in, if it is not."""
    if not request.text.strip():
        return Failure(code="invalid_question", message="The question is empty.", hint="Write what you want to know.")
    if len(request.text) > max_question:
        return Failure(
            code="invalid_question",
            message=f"The question has {len(request.text):,} characters; at most {max_question:,} are let in.",
            hint="Ask for one thing at a time, or put the material where a tool can read it.",
        )
    return None


async def decide(
    request: Request, routes: Routes, settings: RouterSettings, *, partner: str = "", ask: Ask | None = None
) -> Dispatch:
    """The one asked for, the only agent, or what the cascade comes to."""
    agents = routes.choosable()
    if request.agent:
        return _asked_for(request.agent, routes)
    if not agents:
        return Dispatch(
            refusal=Failure(
                code="unknown_agent",
                message="No agent is running, so nobody can answer.",
                hint="Start one: `trunkline run FILE.py`.",
            )
        )
    if len(agents) == 1:
        return Dispatch(next(iter(agents)), Route(confidence=1.0, source="only_agent"))
    kind, partner = kind_of(request.text), partner if partner in agents else ""
    found = await _at_once(request.text, kind, routes, partner)
    return found or await _classified(request.text, routes, settings, Talk(partner, leaning=kind == "leaning"), ask)


async def _at_once(text: str, kind: Kind, routes: Routes, partner: str) -> Dispatch | None:
    """What its wording alone decides, or that it is several questions."""
    if partner and kind in ("small_talk", "bare"):
        return Dispatch(partner, Route(source=CONVERSATION))
    if known := routes.known(text):
        return Dispatch(known.label, Route(confidence=known.confidence, source=known.source))
    generalist = routes.generalist()
    if generalist and kind == "small_talk":
        return Dispatch(generalist, Route(source="greeting"))
    together = routes.agents().get(TOGETHER)
    if together and together.hidden and (found := await several(text, routes)):
        route = Route(confidence=min(found.scores.values()), source="several", scores=_rounded(found.scores))
        return Dispatch(TOGETHER, route, parts=found.parts)
    return None


async def _classified(text: str, routes: Routes, settings: RouterSettings, talk: Talk, ask: Ask | None) -> Dispatch:
    """The router's own classifier; the dearer one for what that is not sure of; and who gets what neither can tell."""
    verdict, generalist = await routes.classify(text), routes.generalist()
    stays = Dispatch(talk.partner, Route(source=CONVERSATION, scores=_rounded(verdict.scores)))
    sure = _is_sure(verdict, settings.confident)
    if talk.holds(verdict, generalist) and (sure or talk.leaning) and verdict.label != talk.partner:
        return stays
    is_asked = False
    if not sure:
        is_asked = ask is not None and bool(verdict.label or not generalist)
        asked = await ask(text, verdict) if ask and is_asked else None
        verdict = asked or verdict
        sure = bool(asked and asked.label) or _is_sure(verdict, settings.confident_alone)
    route = Route(confidence=verdict.confidence, source=verdict.source, scores=_rounded(verdict.scores), asked=is_asked)
    if sure:
        return Dispatch(verdict.label, route)
    if talk.holds(verdict, generalist):
        return replace(stays, route=msgspec.structs.replace(stays.route, asked=is_asked))
    if generalist:
        return Dispatch(generalist, msgspec.structs.replace(route, source="fallback"))
    return Dispatch(route=route, refusal=_nobody(list(routes.choosable())))


def _is_sure(verdict: Verdict, confident: float) -> bool:
    return bool(verdict.label) and verdict.confidence >= confident


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {label: round(score, 4) for label, score in scores.items()}


def _asked_for(agent: str, routes: Routes) -> Dispatch:
    if agent in routes.agents():
        return Dispatch(agent, Route(confidence=1.0, source="asked_for"))
    return Dispatch(
        refusal=Failure(
            code="unknown_agent",
            message=f"There is no agent {agent[:80]!r}.",
            hint=f"Running now: {', '.join(sorted(routes.choosable())) or 'none'}.",
        )
    )


def _nobody(known: list[str]) -> Failure:
    return Failure(
        code="nobody_fits",
        message="No agent is a good match for this question.",
        hint=f"Running now: {', '.join(sorted(known))}. Ask more precisely, or name one with --agent.",
    )
