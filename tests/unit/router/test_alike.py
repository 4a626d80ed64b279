"""The nearest earlier question, and how near it must be."""

from __future__ import annotations

import numpy as np

from trunkline.cache import CacheKey
from trunkline_router.classifiers.weights import Tensor
from trunkline_router.deciding.wording import essentials
from trunkline_router.reuse.threshold import LOWEST, NEVER, START, Threshold
from trunkline_router.reuse.vectors import Vectors

NOTHING = essentials("")
GROUP, OTHERS = CacheKey("main.ann.group"), CacheKey("main.bob.group")


def point(angle: float) -> Tensor:
    """At this angle in a plane; the cosine of two of them is that of the angle between."""
    return np.array([np.cos(angle), np.sin(angle)], dtype=np.float32)


def key(name: object) -> CacheKey:
    return CacheKey(f"main.ann.{name}")


def test_the_nearest_one_of_the_same_group_is_found() -> None:
    vectors = Vectors(most=10)
    for name, angle in (("far", 1.0), ("near", 0.1), ("nearer", 0.05)):
        vectors.add(GROUP, key(name), NOTHING, point(angle))
    vectors.add(OTHERS, key("theirs"), NOTHING, point(0.0))
    found = vectors.nearest(GROUP, NOTHING, point(0.0), 0.9)
    assert found
    assert (found[0], round(found[1], 5)) == (key("nearer"), round(float(np.cos(0.05)), 5))
    assert vectors.nearest(GROUP, NOTHING, point(0.0), 0.9999) is None


def test_one_with_another_number_is_passed_over() -> None:
    vectors = Vectors(most=10)
    vectors.add(GROUP, key("nearest"), essentials("5 days"), point(0.0))
    vectors.add(GROUP, key("next"), essentials("7 days"), point(0.1))
    found = vectors.nearest(GROUP, essentials("in 7 days"), point(0.0), 0.9)
    assert found
    assert found[0] == key("next")


def test_the_oldest_of_all_groups_make_room() -> None:
    vectors = Vectors(most=50)
    for number in range(120):
        vectors.add(GROUP if number % 2 else OTHERS, key(number), NOTHING, point(number / 100))
    assert len(vectors) == 50
    for number in range(120):
        found = vectors.nearest(GROUP if number % 2 else OTHERS, NOTHING, point(number / 100), 0.99999)
        assert (found[0] if found else None) == (key(number) if number >= 70 else None)


def test_a_group_without_questions_is_forgotten() -> None:
    vectors = Vectors(most=10)
    vectors.add(GROUP, key("one"), NOTHING, point(0.0))
    vectors.add(GROUP, key("one"), NOTHING, point(1.0))
    assert (len(vectors), GROUP in vectors) == (1, True)
    vectors.discard(GROUP, key("one"))
    assert (len(vectors), GROUP in vectors) == (0, False)


def test_a_bad_answer_raises_the_threshold_above_its_likeness() -> None:
    threshold = Threshold()
    threshold.judge(0.97, -1, "ann")
    assert threshold.value > 0.97
    threshold.judge(0.96, -1, "ann")
    assert threshold.value > 0.97
    threshold.judge(1.0, -1, "ann")
    assert 1.0 < threshold.value <= NEVER


def test_praise_of_several_users_lowers_it_to_a_bound() -> None:
    threshold = Threshold()
    for user in ("ann", "bob") * 5:
        threshold.judge(0.96, 1, user)
    assert LOWEST < threshold.value < START
    for user in ("ann", "bob") * 100:
        threshold.judge(0.96, 1, user)
    assert threshold.value == LOWEST


def test_one_users_praise_is_not_enough() -> None:
    threshold = Threshold()
    for _ in range(1000):
        threshold.judge(0.96, 1, "ann")
    assert threshold.value == START


def test_no_praise_brings_it_below_what_was_bad() -> None:
    threshold = Threshold()
    threshold.judge(0.94, -1, "ann")
    for user in ("ann", "bob") * 100:
        threshold.judge(0.96, 1, user)
    assert 0.94 < threshold.value < START
