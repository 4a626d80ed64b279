"""Whose budgets a call is paid from, and the windows in which they are counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.budget.limits import KINDS, LONGEST_NAME, Kind, Spender, counter, name_of, resets_of, window_of

MICROSECOND = timedelta(microseconds=1)
WINDOWED: tuple[Kind, ...] = ("user-day", "agent-day", "tenant-day", "tenant-month")


@pytest.mark.parametrize(
    ("kind", "window", "ends"),
    [
        ("user-day", "2026-11-23", datetime(2026, 11, 24, tzinfo=UTC)),
        ("agent-day", "2026-11-30", datetime(2026, 12, 1, tzinfo=UTC)),
        ("tenant-day", "2026-12-31", datetime(2027, 1, 1, tzinfo=UTC)),
        ("tenant-day", "2028-02-28", datetime(2028, 2, 29, tzinfo=UTC)),
        ("tenant-day", "2028-02-29", datetime(2028, 3, 1, tzinfo=UTC)),
        ("tenant-day", "2026-02-28", datetime(2026, 3, 1, tzinfo=UTC)),
        ("tenant-month", "2028-02", datetime(2028, 3, 1, tzinfo=UTC)),
        ("tenant-month", "2026-11", datetime(2026, 12, 1, tzinfo=UTC)),
        ("tenant-month", "2026-12", datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_window_lasts_to_the_last_microsecond(kind: Kind, window: str, ends: datetime) -> None:
    """At midnight, at a month's and a year's end, and around a leap day."""
    last = ends - MICROSECOND
    assert (window_of(kind, last), resets_of(kind, last)) == (window, ends)
    assert window_of(kind, ends) != window


@pytest.mark.parametrize("kind", ["run", "conversation"])
def test_a_run_and_a_conversation_have_one_window(kind: Kind) -> None:
    moments = datetime(2026, 12, 31, 23, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    assert {(window_of(kind, moment), resets_of(kind, moment)) for moment in moments} == {("-", None)}


@given(st.sampled_from(WINDOWED), st.datetimes(datetime(1970, 1, 1), datetime(2999, 12, 1)), st.integers(-14, 14))  # noqa: DTZ001
def test_windows_meet_without_a_gap_and_in_every_zone_at_once(kind: Kind, naive: datetime, hours: int) -> None:
    now = naive.replace(tzinfo=UTC)
    ends = resets_of(kind, now)
    assert ends is not None
    assert now < ends <= now + timedelta(days=31)
    assert window_of(kind, ends - MICROSECOND) == window_of(kind, now) < window_of(kind, ends)
    elsewhere = now.astimezone(timezone(timedelta(hours=hours)))
    assert (window_of(kind, elsewhere), resets_of(kind, elsewhere)) == (window_of(kind, now), ends)


def test_each_kind_is_somebodys_and_users_without_a_name_are_one() -> None:
    spender = Spender("main", "c-1", "r-1", "", "billing")
    assert {kind: spender.who(kind) for kind in KINDS} == {
        "run": "r-1",
        "conversation": "c-1",
        "user-day": "anonymous",
        "agent-day": "billing",
        "tenant-day": "main",
        "tenant-month": "main",
    }


@given(st.text(st.characters(codec=None), min_size=LONGEST_NAME + 1), st.text())
def test_a_long_name_is_cut_and_stays_another_one(name: str, more: str) -> None:
    assert len(name_of(name)) == LONGEST_NAME
    assert (name_of(name) == name_of(name + more)) == (not more)
    assert name_of(name_of(name)) == name_of(name)


@given(st.text(st.characters(codec=None), min_size=1))
def test_a_counter_is_a_subject_whatever_the_name(name: str) -> None:
    spelt = counter("main", "user-day", "2026-11-23", name)
    assert spelt.startswith("budget.main.user-day.2026-11-23.")
    assert len(spelt.rpartition(".")[2]) == 32
    assert spelt.isascii()
    assert spelt.count(".") == 4


def test_counters_of_two_names_kinds_or_windows_are_two() -> None:
    counters = {counter("main", kind, window, name) for kind in KINDS for window in "ab" for name in ("x", "y", "X")}
    assert len(counters) == len(KINDS) * 6
