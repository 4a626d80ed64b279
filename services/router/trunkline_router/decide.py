"""The router's decision: pure policy over what is known."""

from __future__ import annotations

from dataclasses import dataclass, field

from trunkline.contracts.messages import Failure, Part, Request, Route
from trunkline_router.routes import Routes
from trunkline_router.settings import RouterSettings


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


async def dispatch(request: Request, routes: Routes, settings: RouterSettings) -> Dispatch:
    """Admission first, then the decision."""
    refusal = admit(request, max_question=settings.router_max_question)
    if refusal:
        return Dispatch(refusal=refusal)
    return decide(request, routes, confident=settings.router_confident)


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


def decide(request: Request, routes: Routes, *, confident: float) -> Dispatch:
    """The only agent, the one asked for, the one that fits, or the generalist."""
    agents = routes.agents()
    if request.agent:
        return _asked_for(request.agent, list(agents))
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
    verdict = routes.classify(request.text)
    scores = {label: round(score, 4) for label, score in verdict.scores.items()}
    if verdict.label and verdict.confidence >= confident:
        return Dispatch(verdict.label, Route(confidence=verdict.confidence, source=verdict.source, scores=scores))
    if generalist := routes.generalist():
        return Dispatch(generalist, Route(confidence=verdict.confidence, source="fallback", scores=scores))
    return Dispatch(refusal=_nobody(list(agents)))


def _asked_for(agent: str, known: list[str]) -> Dispatch:
    if agent in known:
        return Dispatch(agent, Route(confidence=1.0, source="asked_for"))
    return Dispatch(
        refusal=Failure(
            code="unknown_agent",
            message=f"There is no agent {agent[:80]!r}.",
            hint=f"Running now: {', '.join(sorted(known)) or 'none'}.",
        )
    )


def _nobody(known: list[str]) -> Failure:
    return Failure(
        code="nobody_fits",
        message="No agent is a good match for this question.",
        hint=f"Running now: {', '.join(sorted(known))}. Ask more precisely, or name one with --agent.",
    )
