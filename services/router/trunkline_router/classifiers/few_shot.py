"""The classifier by meaning: sentence embeddings, likeness by spelling beside them, a head learnt from few examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from trunkline_router.classifiers.classify import RouteCard, Verdict
from trunkline_router.classifiers.encoder import SentenceEncoder
from trunkline_router.classifiers.head import Head
from trunkline_router.classifiers.ngrams import NGrams
from trunkline_router.classifiers.weights import Tensor

log = structlog.get_logger("trunkline.router")

SPELLING = 0.1
"""The share of likeness by spelling in the kernel; the rest is likeness by meaning."""
NARROWNESS = 3.0
"""g in the kernel exp(g (cosine - 1)). From 2 to 4 makes no difference of a percent on any data that was tried."""
MOST_EXAMPLES = 2_000
"""Of all routes together; learning takes their square in memory."""


@dataclass(frozen=True, slots=True)
class _Learnt:
    labels: tuple[str, ...]
    points: Tensor
    spelling: NGrams
    head: Head

    def probabilities(self, point: Tensor, question: str) -> Tensor:
        return self.head.probabilities(_kernel(self.points @ point, self.spelling.alike(question)))


class FewShotClassifier:
    """Learns in milliseconds once the examples are embedded, at 4 ms each; classifies in about as much."""

    source = "embedding"

    def __init__(self, encoder: SentenceEncoder, *, most_examples: int = MOST_EXAMPLES) -> None:
        self._encoder = encoder
        self._most_examples = most_examples
        self._points: dict[str, Tensor] = {}
        self._learnt: _Learnt | None = None
        self._asked: tuple[str, Tensor] = ("", np.zeros(0, dtype=np.float32))

    def fit(self, routes: Sequence[RouteCard]) -> None:
        """May run in a thread of its own: until the end, `classify` answers by what was learnt before."""
        taken = _evenly([route for route in routes if route.description or route.examples], self._most_examples)
        if not taken:
            self._points, self._learnt = {}, None
            return
        texts, owners, asked = zip(*_examples(taken), strict=True)
        points = self._embed(texts)
        spelling = NGrams(texts)
        kernel = _kernel(points @ points.T, np.stack([spelling.alike(text) for text in texts]))
        head = Head.fit(kernel, np.array(owners), np.array(asked))
        self._learnt = _Learnt(tuple(route.label for route in taken), points, spelling, head)

    def classify(self, question: str) -> Verdict:
        learnt = self._learnt
        if learnt is None:
            return Verdict("", 0.0, self.source)
        point = self._encoder.embed([question])[0]
        self._asked = question, point
        *found, outside = learnt.probabilities(point, question).tolist()
        scores = dict(zip(learnt.labels, found, strict=True))
        best = max(scores, key=scores.__getitem__)
        if scores[best] < outside:
            return Verdict("", 0.0, self.source, scores)
        return Verdict(best, scores[best], self.source, scores)

    def embed(self, texts: Sequence[str]) -> Tensor:
        """(texts, features), each of length one; the question that was classified last is not embedded again."""
        asked, point = self._asked
        if asked and list(texts) == [asked]:
            return point[None]
        return self._encoder.embed(texts)

    def reads(self, text: str) -> bool:
        return self._encoder.reads(text)

    def _embed(self, texts: Sequence[str]) -> Tensor:
        """Only what is new is embedded; what is no longer used is forgotten."""
        new = [text for text in dict.fromkeys(texts) if text not in self._points]
        known = self._points | dict(zip(new, self._encoder.embed(new), strict=True))
        self._points = {text: known[text] for text in texts}
        return np.stack([known[text] for text in texts])


def _kernel(meaning: Tensor, spelling: Tensor) -> Tensor:
    """Of cosines, element by element."""
    by_meaning, by_spelling = (np.exp(NARROWNESS * (cosine - 1), dtype=np.float32) for cosine in (meaning, spelling))
    mixed: Tensor = (1 - SPELLING) * by_meaning + SPELLING * by_spelling
    return mixed


def _evenly(routes: Sequence[RouteCard], most: int) -> list[RouteCard]:
    """The first examples of each, when all together are too many."""
    count = sum(1 + len(route.examples) for route in routes)
    if count <= most:
        return list(routes)
    share = max(1, most // len(routes) - 1)
    log.warning(
        "learns only the first examples of each agent: all together they are too many",
        action="examples_left_out",
        learnt_of_each=share,
        examples=count,
        most=most,
    )
    return [RouteCard(route.label, route.description, route.examples[:share]) for route in routes]


def _examples(routes: Sequence[RouteCard]) -> Iterator[tuple[str, int, bool]]:
    """Each text that a route is learnt from, the number of the route, and whether it is like what people ask."""
    for number, route in enumerate(routes):
        if route.description:
            yield route.description, number, False
        for example in route.examples:
            yield example, number, True
