"""How long it will take is said from what was measured, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from trunkline_router.busy import busy
from trunkline_router.runs.pace import Pace

BEGAN = datetime(2030, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def test_without_answers_there_is_no_pace() -> None:
    pace = Pace()
    assert pace.per_second(at(0), "a") is None
    pace.answered("b", at(0))
    assert pace.per_second(at(1), "a") is None


def test_the_pace_is_what_was_answered_since_the_first_of_the_last_half_minute() -> None:
    pace = Pace()
    for second in range(10):
        for _ in range(4):
            pace.answered("a", at(second + 0.5))
    assert pace.per_second(at(10), "a") == pytest.approx(4)
    assert pace.per_second(at(20), "a") == pytest.approx(2)
    assert pace.per_second(at(41), "a") is None


def test_all_agents_together_have_a_pace() -> None:
    pace = Pace()
    for second in range(10):
        pace.answered("a", at(second))
        pace.answered("b", at(second))
    assert pace.per_second(at(10)) == pytest.approx(2)


def test_only_the_last_half_minute_is_kept() -> None:
    pace = Pace()
    for second in range(1000):
        pace.answered("a", at(second))
    assert len(pace._seconds["a"]) <= 31


def test_a_refusal_says_when_those_that_wait_are_through() -> None:
    failure = busy("Agent a", 1000, 40.0)
    assert failure.message == "Agent a has 1,000 unfinished runs, and takes no more."
    assert failure.hint.startswith("Try again in about 25 s")
    assert failure.data == {"waiting": 1000, "retry_after": 25}


def test_a_refusal_makes_nothing_up() -> None:
    failure = busy("Agent a", 1000, None)
    assert (failure.hint, failure.data) == ("Try again in a moment.", {"waiting": 1000})
