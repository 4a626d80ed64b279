"""Texts are cut into pieces as they were when the encoder was trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline_router.classifiers.weights import read_vocabulary
from trunkline_router.classifiers.wordpiece import WordPiece, words

LONG = 256


@pytest.fixture(scope="module")
def vocabulary(weights: Path) -> list[str]:
    return read_vocabulary(weights / "vocab.txt")


@pytest.fixture(scope="module")
def tokenizer(vocabulary: list[str]) -> WordPiece:
    return WordPiece(vocabulary)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Hello, world!", "hello , world !"),
        ("unaffable", "una ##ffa ##ble"),
        ("Can't you tokenize this?", "can ' t you token ##ize this ?"),
        ("NAÏVE  café\tRésumé\n", "naive cafe resume"),
        ("ah\u535a\u4ebazz", "ah \u535a \u4eba z ##z"),
        ("a\u200bb\u00adc d\u00a0e\u2028f", "abc d e f"),
        ("x\u0000y\ufffdz", "x ##y ##z"),
        ("$5+3=8", "$ 5 + 3 = 8"),
        ("I am 🤷 sure", "i am [UNK] sure"),
        ("", ""),
        (" \n ", ""),
        ("w" * 101, "[UNK]"),
        ("[CLS]", "[ cl ##s ]"),
    ],
)
def test_a_text_becomes_the_pieces_of_bert(tokenizer: WordPiece, vocabulary: list[str], text: str, pieces: str) -> None:
    found = [vocabulary[number] for number in tokenizer.encode(text, LONG)]
    assert found == ["[CLS]", *pieces.split(), "[SEP]"]


def test_the_numbers_are_those_of_the_published_vocabulary(tokenizer: WordPiece) -> None:
    assert tokenizer.encode("Hello, world!", LONG) == [101, 7592, 1010, 2088, 999, 102]


def test_a_long_text_is_cut_and_still_ends_as_it_must(tokenizer: WordPiece) -> None:
    whole = tokenizer.encode("one two three " * 200, 1000)
    cut = tokenizer.encode("one two three " * 200, LONG)
    assert len(cut) == LONG
    assert cut == [*whole[: LONG - 1], whole[-1]]


def test_a_cut_may_go_through_a_word(tokenizer: WordPiece, vocabulary: list[str]) -> None:
    assert [vocabulary[number] for number in tokenizer.encode("unaffable", 4)] == ["[CLS]", "una", "##ffa", "[SEP]"]


def test_lowering_goes_letter_by_letter() -> None:
    """Where Python's own lowering minds the end of a word: two sigmas become one letter."""
    assert list(filter(None, words("\u03a3\u03a3 \u0130"))) == ["\u03c3\u03c3", "i"]


def test_a_vocabulary_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no \[CLS\], \[UNK\]"):
        WordPiece(["[SEP]", "a"])
