"""Which agent a question is for: few-shot, from the agents' own descriptions and examples.

`Classifier` is the seam: what is behind `classify` may become an embedding model without anybody noticing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RouteCard:
    """An agent, as the classifier may learn it; a generalist is not one to tell apart, and takes what is left."""

    label: str
    description: str
    examples: tuple[str, ...] = ()
    generalist: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """`label` is the best agent, or empty: the question is nobody's. `confidence`, from 0 to 1, is the chance that the
    label is right, as far as `source` can tell.
    """

    label: str
    confidence: float
    source: str
    scores: Mapping[str, float] = field(default_factory=dict)


class Classifier(Protocol):
    def fit(self, routes: Sequence[RouteCard]) -> None:
        """Learn these routes in place of the former ones. Called in a thread, one call at a time; until it returns,
        `classify` answers by the former ones.
        """
        ...

    def classify(self, question: str) -> Verdict:
        """May be called in several threads at once."""
        ...
