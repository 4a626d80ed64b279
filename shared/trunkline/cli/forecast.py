"""What a day will have cost by its end, judged by what it has cost so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
TOO_EARLY = timedelta(minutes=15)
"""So soon after midnight, a single call would be multiplied by a hundred."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """US dollars at the day's end, at the slower and at the faster of two paces: `hourly`, that of the last hour, and
    `daily`, that of the whole day so far, in dollars an hour.
    """

    low: Decimal
    high: Decimal
    hourly: Decimal
    daily: Decimal


def began(now: datetime) -> datetime:
    """When the day of `now` began, in its own time zone."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def forecast(spent: Decimal, lately: Decimal, now: datetime) -> Forecast | None:
    """`spent` since midnight, `lately` in the last hour, or since midnight when that is less. None: too early to say,
    or nothing was spent.
    """
    passed = now - began(now)
    if passed < TOO_EARLY or not spent:
        return None
    daily, hourly = spent / _hours(passed), lately / _hours(min(passed, HOUR))
    left = _hours(DAY - passed)
    low, high = sorted((spent + daily * left, spent + hourly * left))
    return Forecast(low, high, hourly, daily)


def reached(spent: Decimal, limit: Decimal, pace: Decimal, now: datetime) -> datetime | None:
    """When `limit` is reached at so many dollars an hour; None when that is not on the same day."""
    if spent >= limit:
        return now
    left = _hours(DAY - (now - began(now)))
    if spent + pace * left <= limit:
        return None
    return now + timedelta(hours=float((limit - spent) / pace))


def _hours(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)) / Decimal(HOUR // timedelta(microseconds=1))
