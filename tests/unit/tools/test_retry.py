"""When a failed call is tried again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts.messages import Failure
from trunkline_tools.retry import FIRST_SECONDS, LONGEST_BACKOFF, LONGEST_PAUSE, pause


def failure(**data: Any) -> Failure:
    return Failure(code="tool_failed", message="x", data=data)


@given(tries=st.integers(0, 9), asked=st.floats(0, 40))
def test_the_pause_is_what_was_asked_for_and_some_jitter_that_grows_to_a_bound(tries: int, asked: float) -> None:
    wait = pause(failure(passing=True, seconds=asked), tries, 10)
    assert wait is not None
    assert 0 <= wait - asked <= min(LONGEST_BACKOFF, FIRST_SECONDS * 2**tries) + 1e-9


def test_the_jitter_is_full() -> None:
    waits = [pause(failure(passing=True), 5, 10) or 0.0 for _ in range(400)]
    assert min(waits) < 1
    assert max(waits) > 5


@pytest.mark.parametrize(
    ("data", "tries", "retries"),
    [
        ({}, 0, 2),
        ({"passing": "yes"}, 0, 2),
        ({"passing": True}, 2, 2),
        ({"passing": True}, 0, 0),
        ({"passing": True, "seconds": LONGEST_PAUSE + 1}, 0, 2),
    ],
)
def test_when_not(data: dict[str, Any], tries: int, retries: int) -> None:
    assert pause(failure(**data), tries, retries) is None
