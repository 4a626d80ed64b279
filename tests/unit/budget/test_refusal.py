"""What a refused call is told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from trunkline.budget.limits import Kind, Limit
from trunkline.budget.refusal import Full, over_budget
from trunkline.prices import Money

TOMORROW = datetime(2026, 11, 24, tzinfo=UTC)
NEXT_MONTH = datetime(2026, 12, 1, tzinfo=UTC)


def full(kind: Kind, who: str, limit: str, spent: str, resets: datetime | None = None) -> Full:
    return Full(Limit(kind, who, "w", Money.parse(limit), resets), Money.parse(spent))


def test_it_says_which_budget_what_is_left_when_it_begins_anew_and_what_to_do() -> None:
    error = over_budget([full("user-day", "anna", "10", "9.88", TOMORROW)], Money.parse("0.314159265"))
    assert error.what == (
        "The budget of user anna for today has $0.12 of $10.00 left, and this call may cost $0.31416. "
        "It begins anew at 2026-11-24 00:00 UTC."
    )
    assert error.hint == (
        "Wait until 2026-11-24 00:00 UTC, ask for less, or allow more: "
        "`trunkline budget top-up user-day 0.20 --for anna`."
    )
    assert error.data == {
        "kind": "user-day",
        "who": "anna",
        "limit": "10",
        "left": "0.12",
        "needed": "0.314159265",
        "resets": "2026-11-24T00:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("found", "begins", "advice"),
    [
        (full("run", "r-1", "1", "0.9"), "The budget of this run has", "trunkline budget set run 1.20"),
        (
            full("conversation", "c", "1", "0.9"),
            "The budget of this conversation has",
            "top-up conversation 0.20 --for c",
        ),
        (full("agent-day", "billing", "1", "0.9", TOMORROW), "The budget of agent billing for today", "--for billing`"),
        (full("user-day", "o'neil x", "1", "0.9", TOMORROW), "The budget of user o'neil x", "--for 'o'\"'\"'neil x'`"),
        (full("tenant-day", "main", "1", "0.9", TOMORROW), "The budget of tenant main for today", "tenant-day 0.20`"),
        (
            full("tenant-month", "main", "1", "0.9", NEXT_MONTH),
            "The budget of tenant main for this month",
            "2026-12-01",
        ),
    ],
)
def test_every_kind_is_named_in_words(found: Full, begins: str, advice: str) -> None:
    error = over_budget([found], Money.parse("0.3"))
    assert error.what.startswith(begins)
    assert advice in error.hint
    assert bool(error.data["resets"]) == (found.limit.resets is not None)


def test_of_several_the_tightest_is_named_then_the_one_that_goes_on_longest() -> None:
    roomy, day = full("run", "r", "2", "1.5"), full("user-day", "anna", "1", "0.9", TOMORROW)
    month = full("tenant-month", "main", "100", "99.9", NEXT_MONTH)
    assert over_budget([roomy, day], Money.parse("1")).data["kind"] == "user-day"
    assert over_budget([roomy, day, month], Money.parse("1")).data["kind"] == "tenant-month"
    for_ever = full("conversation", "c", "5", "4.9")
    assert over_budget([day, for_ever, month], Money.parse("1")).data["kind"] == "conversation"


def test_what_is_left_never_looks_like_enough() -> None:
    """A picodollar is missing."""
    error = over_budget([full("run", "r", "1", "0.499999999999")], Money(500_000_000_002))
    assert "$0.50 of $1.00 left, and this call may cost $0.500001" in error.what
    assert "set run 1.000001" in error.hint


def test_nothing_is_left_of_a_limit_that_was_lowered() -> None:
    assert over_budget([full("run", "r", "1", "3")], Money.parse("0.5")).data["left"] == "0"
