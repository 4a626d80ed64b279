"""Likeness by spelling: TF-IDF over short runs of characters (Salton & Buckley 1988), in an inverted index.

It knows what no encoder was trained on: article numbers, the names of a trade, other languages.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trunkline_router.classifiers.weights import Tensor

SHORTEST, LONGEST = 2, 5
MOST_CHARACTERS = 1_500
"""About what the encoder reads of a text."""

_WORD = re.compile(r"\w+|[^\w\s]")


class NGrams:
    """The cosine of any text to each of `texts`."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [ngrams(text) for text in texts]
        seen = Counter(ngram for each in counts for ngram in each)
        self._idf = {ngram: math.log((1 + len(texts)) / (1 + n)) + 1 for ngram, n in seen.items()}
        self._unknown = math.log(1 + len(texts)) + 1
        postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for text, each in enumerate(counts):
            for ngram, weight in self._weigh(each).items():
                postings[ngram].append((text, weight))
        self._postings = {ngram: _columns(found) for ngram, found in postings.items()}
        self._size = len(texts)

    def alike(self, text: str) -> Tensor:
        """(texts,), from 0 for nothing in common to 1 for the same."""
        asked = self._weigh(ngrams(text))
        known = [(self._postings[ngram], weight) for ngram, weight in asked.items() if ngram in self._postings]
        if not known:
            return np.zeros(self._size, dtype=np.float32)
        products = np.concatenate([weights for (_, weights), _ in known])
        products *= np.repeat([weight for _, weight in known], [len(texts) for (texts, _), _ in known])
        texts = np.concatenate([texts for (texts, _), _ in known])
        return np.bincount(texts, products, minlength=self._size).astype(np.float32)

    def _weigh(self, counts: Counter[str]) -> dict[str, float]:
        """Of length one. Runs that no text has count in the length, as the rarest."""
        weights = {ngram: (1 + math.log(n)) * self._idf.get(ngram, self._unknown) for ngram, n in counts.items()}
        length = math.sqrt(sum(weight * weight for weight in weights.values()))
        return {ngram: weight / length for ngram, weight in weights.items()}


def ngrams(text: str) -> Counter[str]:
    """Runs of two to five characters within words and marks, their edges included."""
    words = [f" {word} " for word in _WORD.findall(text[:MOST_CHARACTERS].lower())]
    return Counter(
        word[start : start + length]
        for word in words
        for length in range(SHORTEST, LONGEST + 1)
        for start in range(len(word) - length + 1)
    )


def _columns(postings: Sequence[tuple[int, float]]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Where a run occurs, and its weight there."""
    return np.array([text for text, _ in postings], dtype=np.intp), np.array([weight for _, weight in postings])
