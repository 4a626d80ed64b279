"""Values of the log before they become columns. Stored bytes are untrusted, also when they decode."""

from datetime import UTC, datetime

from trunkline.contracts.dialog import Usage
from trunkline.contracts.errors import BadMessage

MOST_COUNT = 2**40
MOST_MILLISECONDS = 1e12
NAME_CHARACTERS = 200
QUESTION_CHARACTERS = 200


def text(value: str, limit: int = NAME_CHARACTERS) -> str:
    """At most `limit` characters, without the NUL that PostgreSQL cannot store."""
    return value[:limit].replace("\0", "\N{REPLACEMENT CHARACTER}")


def count(value: int, what: str) -> int:
    """Raises BadMessage for a number that counts nothing: negative, or far beyond anything that happens."""
    if 0 <= value <= MOST_COUNT:
        return value
    raise BadMessage(f"{what} {str(value)[:40]} is out of range.", f"It must be from 0 to {MOST_COUNT}.")


def milliseconds(value: float, what: str) -> float:
    """Raises BadMessage."""
    if 0 <= value <= MOST_MILLISECONDS:
        return value
    raise BadMessage(f"{what} {value} is out of range.", "It must be in milliseconds and not negative.")


def tokens(usage: Usage) -> Usage:
    """Raises BadMessage."""
    count(usage.input_tokens, "input_tokens")
    count(usage.output_tokens, "output_tokens")
    count(usage.cache_read_tokens, "cache_read_tokens")
    count(usage.cache_write_tokens, "cache_write_tokens")
    return usage


def day_of(at: datetime) -> str:
    """`2026-11-23`, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d}"


def elapsed(since: datetime | None, until: datetime | None) -> float | None:
    """Milliseconds between two of the server's times; 0 when its clock went back."""
    if since is None or until is None:
        return None
    return max(0.0, round((until - since).total_seconds() * 1000, 3))
