"""The lexical classifier: weighted words and word pieces, compared with each agent's examples.

A question's score for an agent is the mean of its likeness (cosine of TF-IDF vectors over words and character
4-grams, Salton & Buckley 1988) to the agent's nearest example and to the agent's text as a whole.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trunkline_router.classifiers.classify import RouteCard, Verdict

Vector = dict[str, float]

_NUMBER = re.compile(r"[0-9]+")
_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
_STOP = frozenset(
    """
    a about am an and are as at be been but by can could did do does for from get had has have how i i'm if in is it
    it's its me my need of on or our please so some tell that the their them there they this to want was we were
    what what's when where which who why will with would you your
    """.split()  # noqa: SIM905  # a list of a hundred quoted words reads worse
)
_PIECE = 4
_PIECE_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class _Learnt:
    """The vectors of each agent's examples, and of its text as a whole."""

    idf: Mapping[str, float]
    examples: Mapping[str, Sequence[Vector]]
    whole: Mapping[str, Vector]


class LexicalClassifier:
    """Learns in microseconds, needs no weights, knows only words that the agents' authors wrote."""

    source = "lexical"

    def __init__(self) -> None:
        self._learnt = _Learnt({}, {}, {})

    def fit(self, routes: Sequence[RouteCard]) -> None:
        texts = {route.label: [route.description, *route.examples] for route in routes}
        documents = [features(text) for route in texts.values() for text in route if text]
        seen = Counter(feature for document in documents for feature in document)
        idf = {feature: math.log((1 + len(documents)) / (1 + n)) + 1 for feature, n in seen.items()}
        self._learnt = _Learnt(
            idf,
            {label: [_vector(features(text), idf) for text in found if text] for label, found in texts.items()},
            {label: _vector(features(" ".join(found)), idf) for label, found in texts.items()},
        )

    def classify(self, question: str) -> Verdict:
        learnt = self._learnt
        asked = _vector(features(question), learnt.idf)
        scores = {
            label: (
                max((likeness(asked, example) for example in examples), default=0.0)
                + likeness(asked, learnt.whole[label])
            )
            / 2
            for label, examples in learnt.examples.items()
        }
        if not scores or max(scores.values()) == 0.0:
            return Verdict("", 0.0, self.source, scores)
        best = max(sorted(scores), key=lambda label: scores[label])
        return Verdict(best, self._confidence(scores, best), self.source, scores)

    @staticmethod
    def _confidence(scores: dict[str, float], best: str) -> float:
        """How alike, and how much more alike than to the next one: 1 for an example's own words."""
        second = max((score for label, score in scores.items() if label != best), default=0.0)
        margin = (scores[best] - second) / scores[best]
        return round(min(1.0, 1.6 * scores[best]) * (0.5 + 0.5 * margin), 4)


def _vector(counts: Counter[str], idf: Mapping[str, float]) -> Vector:
    unknown = max(idf.values(), default=1.0)
    weighted = {
        feature: (1 + math.log(n)) * idf.get(feature, unknown) * (_PIECE_WEIGHT if feature[0] == "#" else 1.0)
        for feature, n in counts.items()
    }
    norm = math.sqrt(sum(weight * weight for weight in weighted.values()))
    return {feature: weight / norm for feature, weight in weighted.items()} if norm else {}


def features(text: str) -> Counter[str]:
    """Stemmed words, and pieces of four letters (which forgive endings and typing errors). All numbers are one."""
    words = [word for word in _WORD.findall(_NUMBER.sub("0", text.lower())) if word not in _STOP]
    stems = [stem(word) for word in words]
    pieces: Iterable[str] = (
        f"#{padded[i : i + _PIECE]}"
        for word in words
        for padded in [f"_{word}_"]
        for i in range(len(padded) - _PIECE + 1)
    )
    return Counter([*stems, *pieces])


def stem(word: str) -> str:
    for ending in ("ations", "ation", "ings", "ing", "ies", "ed", "es", "s", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def likeness(one: Vector, other: Vector) -> float:
    if len(one) > len(other):
        one, other = other, one
    return sum(weight * other.get(feature, 0.0) for feature, weight in one.items())
