"""Likeness by spelling is the cosine of weighted runs of characters."""

from __future__ import annotations

import numpy as np
import pytest

from trunkline_router.classifiers.ngrams import MOST_CHARACTERS, NGrams, ngrams

TEXTS = ["order a pump", "order a fan", "where is my parcel?"]


@pytest.fixture(scope="module")
def index() -> NGrams:
    return NGrams(TEXTS)


def test_runs_stay_within_words_and_count_their_edges() -> None:
    assert ngrams("A fan!") == {" a": 1, "a ": 1, " a ": 1} | {" f": 1, "fa": 1, "an": 1, "n ": 1} | {
        " fa": 1,
        "fan": 1,
        "an ": 1,
        " fan": 1,
        "fan ": 1,
        " fan ": 1,
    } | {" !": 1, "! ": 1, " ! ": 1}


@pytest.mark.parametrize("number", range(3))
def test_a_text_is_most_like_itself(index: NGrams, number: int) -> None:
    alike = index.alike(TEXTS[number])
    assert alike[number] == pytest.approx(1, abs=1e-6)
    assert max(np.delete(alike, number)) < 0.9


def test_likeness_forgives_typing_errors(index: NGrams) -> None:
    alike = index.alike("wher is my parcle")
    assert alike.argmax() == 2
    assert 0.3 < alike[2] < 1


def test_what_only_one_text_has_says_more_than_what_all_have() -> None:
    index = NGrams(["order a pump", "order a fan", "order it"])
    alike = index.alike("order fan")
    assert alike[1] > 1.5 * alike[2] > 0


@pytest.mark.parametrize("text", ["", "  ", "\u4f60\u597d", "#"])
def test_nothing_in_common_is_nought(index: NGrams, text: str) -> None:
    assert index.alike(text).tolist() == [0, 0, 0]


def test_unknown_runs_make_a_text_less_alike(index: NGrams) -> None:
    assert index.alike("order a pump zzzzzz")[0] < index.alike("order a pump")[0]


def test_only_the_beginning_of_a_very_long_text_is_looked_at(index: NGrams) -> None:
    long = "zz " * MOST_CHARACTERS
    assert index.alike(long + TEXTS[0]).max() == 0
