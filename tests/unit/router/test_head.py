"""What is learnt beside the weights: a floor under what is in scope, and probabilities that hold."""

from __future__ import annotations

import numpy as np
import pytest

from trunkline_router.classifiers.head import NOISE, OUTSIDE, UNTAUGHT_FLOOR, USUAL_FLOOR, Head
from trunkline_router.classifiers.weights import Tensor

PLACES = np.random.default_rng(7).standard_normal((40, 3)).astype(np.float32)
OWNERS = np.repeat(np.arange(4), 10)
POINTS = (PLACES + 2 * np.eye(4, 3)[OWNERS]).astype(np.float32)


def kernel(one: Tensor, other: Tensor) -> Tensor:
    found: Tensor = np.exp(-((one[:, None] - other[None]) ** 2).sum(axis=2), dtype=np.float32)
    return found


def left_out(index: int) -> Tensor:
    """The scores of an example by a head that was fitted without it."""
    rest = np.delete(np.arange(len(POINTS)), index)
    gram = kernel(POINTS[rest], POINTS[rest]) + NOISE * np.eye(len(rest))
    scores: Tensor = kernel(POINTS[[index]], POINTS[rest])[0] @ np.linalg.solve(gram, np.eye(4)[OWNERS[rest]])
    return scores


@pytest.fixture(scope="module")
def head() -> Head:
    return Head.fit(kernel(POINTS, POINTS), OWNERS, np.ones(len(POINTS), dtype=bool))


def test_the_floor_is_what_leaving_each_example_out_by_hand_gives(head: Head) -> None:
    best = [left_out(index).max() for index in range(len(POINTS))]
    assert head.floor == pytest.approx(np.quantile(best, OUTSIDE), abs=1e-3)


def test_a_few_examples_that_are_much_alike_do_not_put_all_else_out_of_scope() -> None:
    twins = np.repeat(POINTS[[0, 10]], 2, axis=0) + np.float32(0.01) * PLACES[:4]
    head = Head.fit(kernel(twins, twins), np.array([0, 0, 1, 1]), np.ones(4, dtype=bool))
    assert USUAL_FLOOR < head.floor < USUAL_FLOOR + 0.2


def test_the_temperature_makes_left_out_examples_likeliest(head: Head) -> None:
    """No other temperature fits them clearly better, whatever the prior says."""
    scores = np.stack([left_out(index) for index in range(len(POINTS))])

    def surprise(temperature: float) -> float:
        every = np.exp(temperature * np.column_stack([scores, np.full(len(scores), head.floor)]))
        return float(-np.log(every[np.arange(len(every)), OWNERS] / every.sum(axis=1)).mean())

    assert surprise(head.temperature) < min(surprise(each) for each in np.linspace(1, 40, 79)) + 0.05


def test_outcomes_are_the_routes_and_none(head: Head) -> None:
    near = head.probabilities(kernel(POINTS[[12]], POINTS)[0])
    far = head.probabilities(kernel(np.full((1, 3), 50, np.float32), POINTS)[0])
    assert near.shape == (5,)
    assert near.sum() == pytest.approx(1)
    assert near.argmax() == OWNERS[12]
    assert far.argmax() == 4


def test_examples_without_companions_teach_no_floor() -> None:
    few = POINTS[[0, 10, 20]]
    head = Head.fit(kernel(few, few), np.arange(3), np.ones(3, dtype=bool))
    assert head.floor == UNTAUGHT_FLOOR
    assert head.temperature == pytest.approx(16)


def test_descriptions_are_learnt_from_but_not_judged() -> None:
    """They are not worded as questions are: what they would have scored says nothing about those."""
    asked = np.arange(len(POINTS)) % 10 != 0
    moved = POINTS.copy()
    moved[~asked] += 20
    head = Head.fit(kernel(moved, moved), OWNERS, asked)
    everything = Head.fit(kernel(moved, moved), OWNERS, np.ones_like(asked))
    assert head.floor > 3 * everything.floor
