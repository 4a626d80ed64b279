"""Keys tell nothing of what was asked; entries come back to the cent; foreign bytes are a miss."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.cache.entry import Entry, cache_key, decode_entry, encode_entry
from trunkline.contracts.errors import InvalidArguments, InvalidName

COSTS = st.decimals(min_value=0, allow_nan=False, allow_infinity=False)
MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(st.binary(), COSTS, MOMENTS)
def test_an_entry_comes_back_as_it_was(value: bytes, cost: Decimal, created: datetime) -> None:
    found = decode_entry(encode_entry(Entry(value, cost, created)))
    assert found == Entry(value, cost, created)
    assert str(found.cost) == str(cost)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"anything",
        b"entry-1 2026-01-01T00:00:00+00:00 0.1",
        b"entry-2 2026-01-01T00:00:00+00:00 0.1\nvalue",
        b"entry-1 2026-01-01T00:00:00 0.1\nvalue",
        b"entry-1 2026-01-01T00:00:00+00:00 -0.1\nvalue",
        b"entry-1 2026-01-01T00:00:00+00:00 NaN\nvalue",
        b"entry-1 2026-01-01T00:00:00+00:00 much\nvalue",
        b"entry-1 yesterday 0.1\nvalue",
        b"\xff\n",
    ],
)
def test_bytes_that_nobody_here_has_written_are_no_entry(raw: bytes) -> None:
    assert decode_entry(raw) is None


def test_nothing_of_what_was_asked_or_who_asked_stands_in_a_key() -> None:
    key = cache_key(["billing", "my secret question"], tenant="main", user="zoe@example.org")
    assert not any(word in key for word in ("billing", "secret", "question", "zoe", "example"))
    assert key.startswith("main.")


def test_each_tenant_user_and_question_has_a_key_of_its_own() -> None:
    keys = [
        cache_key(parts, tenant=tenant, user=user)
        for parts in (["ab", "c"], ["a", "bc"], ["abc"], ["a", "b", "c"])
        for tenant in ("main", "other")
        for user in (None, "zoe", "shared", "bob")
    ]
    assert len(set(keys)) == len(keys)
    assert cache_key(["ab", "c"], tenant="main", user="zoe") in keys


def test_a_private_answer_needs_somebody_whose_it_is() -> None:
    with pytest.raises(InvalidArguments):
        cache_key(["x"], tenant="main", user="")
    with pytest.raises(InvalidName):
        cache_key(["x"], tenant="a.b", user=None)
