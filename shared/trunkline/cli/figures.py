"""Figures for people: durations, money, sizes, times, ids."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

LEAST = Decimal("0.000001")
"""US dollars; what is less is said to be so, and not to be nothing."""
SHORT = 18
"""Characters of a run id: its milliseconds (13) and the first random bits. Still a prefix that `show` finds."""


def duration(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "–"
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 59_950:
        return f"{milliseconds / 1000:.1f} s"
    return span(milliseconds / 1000)


def span(seconds: float) -> str:
    """The two largest units: `3 m 05 s`, `2 h 03 m`, `4 d 01 h`."""
    whole = round(seconds)
    for unit, below, size in (("m", "s", 60), ("h", "m", 3600), ("d", "h", 86_400)):
        small = size // (60 if unit != "d" else 24)
        if whole < size * (60 if unit != "h" else 24) or unit == "d":
            return f"{whole} s" if whole < 60 else f"{whole // size} {unit} {whole % size // small:02} {below}"
    raise AssertionError("days are the largest unit")


def dollars(cost: str | None, *, known: bool = True) -> str:
    """Cents for large sums, millionths for small ones, and no less; `> ` when part of it is not known, `?` when nothing
    is.
    """
    if cost is None:
        return "?"
    try:
        amount = Decimal(cost)
    except InvalidOperation:
        return "?"
    if not amount.is_finite() or (not known and not amount):
        return "?"
    if known and 0 < amount < LEAST:
        return f"< ${LEAST:f}"
    places = 2 if abs(amount) >= 1 else 4 if abs(amount) >= Decimal("0.01") else 6
    sign = "-" if amount < 0 else ""
    shown = f"{sign}${abs(amount):,.{places}f}" if amount else "$0"
    return shown if known else f"> {shown}"


def count(number: int) -> str:
    return f"{number:,}"


def counted(number: int, singular: str, plural: str = "") -> str:
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def size(octets: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if octets < 1024 or unit == "GiB":
            return f"{octets:,.0f} {unit}" if unit == "B" else f"{octets:,.1f} {unit}"
        octets /= 1024
    raise AssertionError("the last unit takes everything")


def clock(at: datetime, *, milliseconds: bool = False) -> str:
    """Local time of day, with the date when it is not today's."""
    local = at.astimezone()
    shown = local.strftime("%H:%M:%S") + (f".{local.microsecond // 1000:03}" if milliseconds else "")
    return shown if local.date() == datetime.now(UTC).astimezone().date() else f"{local:%Y-%m-%d} {shown}"


def ago(at: datetime) -> str:
    """How long ago, in its largest unit."""
    seconds = max(0.0, (datetime.now(UTC) - at).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def short(run: str) -> str:
    return run[:SHORT].rstrip("-") if len(run) == 36 else run
