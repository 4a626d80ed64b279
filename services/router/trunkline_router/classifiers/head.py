"""From likenesses to a decision: Gaussian-process regression on the routes' indicators, in closed form.

Rasmussen & Williams 2006: with the kernel K of the n examples, one for `examples` of a route, weights A = (K + λI)⁻¹ Y.
A question's scores are its kernel with the examples, times A: near 1 beside a route's examples, near 0 far from all of
them. The scores that each example would have got from the others come for nothing: what is missing to y is
a / diag((K + λI)⁻¹) (equation 5.12). From them two numbers are learnt:

- the floor: 95 of 100 examples score higher with their best route; where they are few, it is not far above what is
  usual. A question that scores lower is out of scope.
- the temperature, which makes of the scores probabilities that hold (Guo et al. 2017). "Out of scope" is one more
  outcome, whose score is the floor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trunkline_router.classifiers.weights import Tensor

NOISE = 0.1
"""λ. From 0.03 to 0.3 makes no difference of a percent on any data that was tried."""
OUTSIDE = 0.05
"""The share of the examples that may fall below the floor."""
USUAL_FLOOR, FLOOR_WORTH = 0.2, 20
"""What floors were learnt on other data, from 0.14 to 0.22, and how many examples that is worth against a higher one: a
handful of examples that are much alike would put everything out of scope that is not nearly the same.
"""
UNTAUGHT_FLOOR = 0.05
"""When no example has a companion to be compared with."""
TEMPERATURES = np.exp(np.linspace(np.log(2), np.log(80), 60))
USUAL, SPREAD = np.log(16), 0.5
"""What temperatures were learnt on other data, as logarithms: the prior, for when there are few examples."""


@dataclass(frozen=True, slots=True)
class Head:
    """`weights` has the shape (n, routes)."""

    weights: Tensor
    floor: float
    temperature: float

    @staticmethod
    def fit(kernel: Tensor, routes: NDArray[np.intp], asked: NDArray[np.bool_]) -> Head:
        """`kernel` is (n, n); `routes` says whose each example is, `asked` whether it is like what people ask."""
        count = int(routes.max()) + 1
        inverse = np.asarray(np.linalg.inv(kernel + NOISE * np.eye(len(kernel), dtype=np.float32)), dtype=np.float32)
        indicators = np.eye(count, dtype=np.float32)[routes]
        weights: Tensor = inverse @ indicators
        left_out: Tensor = indicators - weights / np.diag(inverse)[:, None]
        judged = asked & (np.bincount(routes)[routes] > 1)
        return Head(weights, *_calibrate(left_out[judged], routes[judged]))

    def probabilities(self, kernel: Tensor) -> Tensor:
        """The question's kernel with the examples, (n,), to (routes + 1,): that it is each route's, or out of scope."""
        scores = np.append(kernel @ self.weights, self.floor)
        found: Tensor = np.exp(self.temperature * (scores - scores.max()), dtype=np.float32)
        found /= found.sum()
        return found


def _calibrate(scores: Tensor, routes: NDArray[np.intp]) -> tuple[float, float]:
    """The floor, and the likeliest temperature."""
    if not len(scores):
        return UNTAUGHT_FLOOR, float(np.exp(USUAL))
    learnt = float(np.quantile(scores.max(axis=1), OUTSIDE))
    floor = min(learnt, (len(scores) * learnt + FLOOR_WORTH * USUAL_FLOOR) / (len(scores) + FLOOR_WORTH))
    right = scores[np.arange(len(scores)), routes]
    rivals = np.column_stack([scores, np.full(len(scores), floor)]) - right[:, None]
    surprise = [
        np.log(np.exp(each * rivals).sum(axis=1)).sum() + ((np.log(each) - USUAL) / SPREAD) ** 2 / 2
        for each in TEMPERATURES
    ]
    return floor, float(TEMPERATURES[int(np.argmin(surprise))])
