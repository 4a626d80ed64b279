"""What is cached, what it had cost, and the key under which it is found again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import NewType

import orjson

from trunkline.contracts.errors import InvalidArguments
from trunkline.contracts.ids import checked_token

CacheKey = NewType("CacheKey", str)
"""`<tenant>.<scope>.<digest>`; digests only, so nothing of what anybody wrote stands in it."""

SHARED = "shared"
_MARK = b"entry-1"


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """`cost` in US dollars is what it took to make, and so what each hit saves."""

    value: bytes
    cost: Decimal = Decimal(0)
    created: datetime = field(default_factory=_now)


def cache_key(parts: Sequence[str], *, tenant: str, user: str | None) -> CacheKey:
    """For what `parts`, in this order, determine. Found by `user` alone, or by all of the tenant's when that is None.

    Raises InvalidArguments for an empty user, whose answers would be everybody's; InvalidName for such a tenant.
    """
    if user == "":
        raise InvalidArguments("An answer cannot be private to nobody.", "Name the user, or say that it is shared.")
    scope = SHARED if user is None else _digest([user])[:32]
    return CacheKey(f"{checked_token(tenant, 'tenant')}.{scope}.{_digest([tenant, user, *parts])}")


def encode_entry(entry: Entry) -> bytes:
    """One line of header, then the value."""
    return b"%b %b %b\n%b" % (_MARK, entry.created.isoformat().encode(), str(entry.cost).encode(), entry.value)


def decode_entry(raw: bytes) -> Entry | None:
    """None for bytes that nobody here has written."""
    header, newline, value = raw.partition(b"\n")
    try:
        mark, created, cost = header.decode("ascii").split(" ")
        entry = Entry(value, Decimal(cost), datetime.fromisoformat(created))
    except (ValueError, InvalidOperation):
        return None
    good = newline and mark.encode() == _MARK and entry.cost.is_finite() and entry.cost >= 0 and entry.created.tzinfo
    return entry if good else None


def _digest(parts: Sequence[str | None]) -> str:
    """As JSON, so that no two lists run into the same bytes."""
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()
