"""What is too long is cut in its middle: never longer than asked for, a JSON value still, and marked."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.prices.estimate import estimated_json_tokens, estimated_tokens
from trunkline.run.trimming import MARK, trimmed, trimmed_text

TEXTS = st.text(max_size=300) | st.text(alphabet="ab ", min_size=300, max_size=3000)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | TEXTS,
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=20), inner, max_size=30),
    max_leaves=60,
)


@given(VALUES, st.integers(2, 400))
def test_it_never_exceeds_and_stays_json(value: Any, most: int) -> None:
    found = trimmed(value, most)
    assert estimated_json_tokens(found) <= most
    assert orjson.loads(orjson.dumps(found)) == found
    assert found == trimmed(value, most)
    assert (found == value) or MARK in orjson.dumps(found).decode()


@given(VALUES)
def test_what_fits_is_left_as_it_is(value: Any) -> None:
    assert trimmed(value, estimated_json_tokens(value)) is value


@given(TEXTS, st.integers(1, 200))
def test_a_text_keeps_its_beginning_and_its_end(text: str, most: int) -> None:
    found = trimmed_text(text, most)
    assert estimated_tokens(found) <= most
    if found not in (text, MARK):
        beginning, _, end = found.partition(f"{MARK} [characters left out: ")
        missing, _, end = end.partition(f"] {MARK}")
        assert text.startswith(beginning)
        assert text.endswith(end)
        assert len(beginning) + int(missing) + len(end) == len(text)


def test_a_list_shows_both_ends_and_how_many_are_missing() -> None:
    found = trimmed([{"id": number} for number in range(1000)], 120)
    missing = next(each for each in found if isinstance(each, str))
    assert found[0] == {"id": 0}
    assert found[-1] == {"id": 999}
    assert missing == f"{MARK} elements left out: {1000 - len(found) + 1} {MARK}"
    assert len(found) > 10


def test_an_object_keeps_its_short_values_whole() -> None:
    found = trimmed({"text": "word " * 5000, "total": 17, "next": "page-2", "rows": list(range(3000))}, 200)
    assert list(found) == ["text", "total", "next", "rows"]
    assert (found["total"], found["next"]) == (17, "page-2")
    assert len(found["text"]) > 50
    assert len(found["rows"]) > 10


def test_an_object_with_too_many_keys_says_how_many_are_missing() -> None:
    found = trimmed({f"key {number}": number for number in range(1000)}, 100)
    assert found["key 0"] == 0
    assert found[MARK] == f"{MARK} keys left out: {1000 - len(found) + 1} {MARK}"


def test_one_huge_element_leaves_room_for_the_others() -> None:
    found = trimmed(["x " * 10_000, "second", "third"], 100)
    assert found[1:] == ["second", "third"]


@pytest.mark.parametrize("value", [10**400, [[[[[["deep " * 500]]]]]]])
def test_what_cannot_be_shown_is_a_mark(value: Any) -> None:
    assert MARK in str(trimmed(value, 3))
