"""Several questions in one request, for different agents."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.contracts.messages import Part
from trunkline_router.deciding.phrasing import leans, questions, words
from trunkline_router.deciding.routes import Routes

MOST_PARTS = 4
SHORTEST_PART = 3
"""Words."""
SURE = 0.7
"""How sure the classifier must be of each part. See decision 0017 for what other values give."""


@dataclass(frozen=True, slots=True)
class Several:
    """The questions in their order, and how sure it is of each agent: of the least sure of its questions."""

    parts: tuple[Part, ...]
    scores: dict[str, float]


async def several(text: str, routes: Routes) -> Several | None:
    """The questions that stand in a text; None when one agent can take it as it is, or when there is any doubt."""
    found = questions(text)
    if len(found) < 2 or any(leans(each) or len(words(each)) < SHORTEST_PART for each in found):
        return None
    parts: list[Part] = []
    scores: dict[str, float] = {}
    for each in found:
        verdict = routes.known(each) or await routes.classify(each)
        if not verdict.label or verdict.confidence < SURE:
            return None
        scores[verdict.label] = min(verdict.confidence, scores.get(verdict.label, 1.0))
        if parts and parts[-1].agent == verdict.label:
            parts[-1] = Part(agent=verdict.label, text=f"{parts[-1].text} {each}")
        else:
            parts.append(Part(agent=verdict.label, text=each))
    return Several(tuple(parts), scores) if 2 <= len(parts) <= MOST_PARTS else None
