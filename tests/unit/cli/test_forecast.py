"""What a day will have cost, by what it has cost so far."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from trunkline.cli.forecast import Forecast, began, forecast, reached

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MIDNIGHT = began(NOON)


def test_the_day_so_far_and_the_last_hour_are_two_paces() -> None:
    """Six dollars in twelve hours, of which one in the last: another six, or another twelve."""
    found = forecast(Decimal(6), Decimal(1), NOON)
    assert found == Forecast(low=Decimal(12), high=Decimal(18), hourly=Decimal(1), daily=Decimal("0.5"))


def test_a_quiet_hour_makes_the_slower_pace() -> None:
    found = forecast(Decimal(6), Decimal(0), NOON)
    assert found is not None
    assert (int(found.low), int(found.high)) == (6, 12)


def test_in_the_first_hour_both_paces_are_one() -> None:
    found = forecast(Decimal(1), Decimal(1), MIDNIGHT + timedelta(minutes=30))
    assert found is not None
    assert (int(found.low), int(found.high)) == (48, 48)


def test_at_the_days_end_it_is_what_was_spent() -> None:
    found = forecast(Decimal(6), Decimal(1), MIDNIGHT + timedelta(days=1, microseconds=-1))
    assert found is not None
    assert round(found.high, 6) == 6


def test_nothing_is_said_too_early_or_of_nothing() -> None:
    assert forecast(Decimal(1), Decimal(1), MIDNIGHT) is None
    assert forecast(Decimal(1), Decimal(1), MIDNIGHT + timedelta(minutes=14)) is None
    assert forecast(Decimal(0), Decimal(0), NOON) is None


def test_when_a_limit_is_reached() -> None:
    assert reached(Decimal(6), Decimal(8), Decimal(1), NOON) == NOON + timedelta(hours=2)
    assert reached(Decimal(6), Decimal(18), Decimal(1), NOON) is None
    assert reached(Decimal(6), Decimal(6), Decimal(0), NOON) == NOON
    assert reached(Decimal(6), Decimal(7), Decimal(0), NOON) is None
