"""Points in time as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from trunkline.contracts.errors import InvalidArguments

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(written: str, option: str) -> datetime | None:
    """`10m` is ten minutes ago; else ISO 8601, local without a zone. None for nothing. Raises InvalidArguments."""
    if not written:
        return None
    try:
        if found := _AGO.fullmatch(written.strip().lower()):
            return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: float(found[1])})
        return datetime.fromisoformat(written.strip()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArguments(
            f"{option} {written[:40]!r} is not a time.", "Write 90s, 10m, 2h or 3d, or a time like 2026-01-31T09:30."
        ) from error
