"""Who is asked after a failure, and when."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from trunkline.contracts.messages import Failure
from trunkline.models.retry import FIRST_PAUSE, LONGEST_PAUSE, NextTry, Tries

FOREVER = 1e9


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    before = random.getstate()
    random.seed(7)
    yield
    random.setstate(before)


def passing(retry_after: float | None = None) -> Failure:
    data = {} if retry_after is None else {"retry_after": retry_after}
    return Failure(code="model_failed", message="busy", data={"retryable": True, **data})


FINAL = Failure(code="model_failed", message="no", data={"retryable": False})


def asked(tries: Tries, failure: Failure, left: float = FOREVER) -> list[str]:
    """The models that are asked when every one of them fails in this way."""
    models = []
    following: NextTry | None = NextTry(tries.model, 0.0)
    while following:
        models.append(following.model)
        tries.ask(following.model)
        tries.failed()
        following = tries.following(failure, left)
    return models


def pauses(failures: int, failure: Failure) -> list[float]:
    """Many pauses after so many failures."""
    tries = Tries(("a",), 100)
    for _ in range(failures):
        tries.failed()
    found = [tries.following(failure, FOREVER) for _ in range(500)]
    return [each.pause for each in found if each]


def test_each_model_is_tried_again_before_the_next_one_is_asked() -> None:
    assert asked(Tries(("a", "b"), 2), passing()) == ["a", "a", "a", "b", "b", "b"]


def test_what_will_not_pass_moves_on_at_once() -> None:
    assert asked(Tries(("a", "b", "c"), 2), FINAL) == ["a", "b", "c"]


def test_without_retries_one_try_is_all() -> None:
    assert asked(Tries(("a",), 0), passing()) == ["a"]


def test_when_the_time_is_up_nobody_is_asked() -> None:
    assert asked(Tries(("a", "b"), 2), passing(), left=0.0) == ["a"]


def test_a_pause_that_is_longer_than_what_is_left_moves_on() -> None:
    assert asked(Tries(("a", "b"), 2), passing(retry_after=30), left=29.0) == ["a", "b"]


@pytest.mark.parametrize("failures", [1, 2, 3, 4])
def test_pauses_are_drawn_from_a_limit_that_doubles(failures: int) -> None:
    """Full jitter: from nothing up to the limit."""
    limit = FIRST_PAUSE * 2 ** (failures - 1)
    found = pauses(failures, passing())
    assert 0 <= min(found) < 0.05 * limit
    assert 0.95 * limit < max(found) <= limit


def test_no_pause_is_longer_than_the_longest() -> None:
    assert 0.9 * LONGEST_PAUSE < max(pauses(60, passing())) <= LONGEST_PAUSE


def test_the_provider_is_not_asked_before_the_time_it_gave() -> None:
    """Nor all at once after it."""
    found = pauses(1, passing(retry_after=3))
    assert min(found) >= 3
    assert len(set(found)) > 400


def test_tries_that_were_made_before_count() -> None:
    """As the log shows them: one try of `a` failed for good, then `b` failed once."""
    tries = Tries(("a", "b"), 1)
    for following in ("b", "b"):
        tries.failed()
        tries.ask(following)
    assert asked(tries, passing()) == ["b"]
    assert (tries.failures, tries.models) == (3, ["a", "b"])


@pytest.mark.parametrize("model", ["gone", None, 7, ["a"]])
def test_a_model_that_is_no_longer_in_the_chain_is_passed_over(model: object) -> None:
    tries = Tries(("a", "b"), 1)
    tries.ask("b")
    tries.ask(model)
    assert tries.model == "b"
