"""The operator's prices in the settings file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts.dialog import Usage
from trunkline.contracts.errors import InvalidSettings
from trunkline.prices import Money, PriceBook
from trunkline.prices.own import own_rates

DAY = datetime(2026, 6, 1, tzinfo=UTC)
ONE_EACH = Usage(input_tokens=3, output_tokens=1, cache_read_tokens=1, cache_write_tokens=1)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def written(text: str) -> Path:
    path = Path("trunkline.toml")
    path.write_text(text)
    return path


def test_prices_are_taken_by_their_digits_as_text_or_as_a_number() -> None:
    """0.1 + 0.2 is 0.30000000000000004 in floats; four prices that differ in one call."""
    book = PriceBook.load(
        written(
            """
            [prices."openai:gpt-x"]
            input_per_million = "0.1"
            output_per_million = 0.2
            cache_read_per_million = 3
            cache_write_per_million = 0.000001
            """
        )
    )
    assert str(book.price("openai:gpt-x", ONE_EACH, DAY)) == "0.000003300001"


def test_the_file_of_this_folder_is_read_and_none_is_needed() -> None:
    assert PriceBook.load().version == PriceBook().version
    written('[prices."house:m"]\ninput_per_million = 1\noutput_per_million = 1')
    assert PriceBook.load().price("house:m", ONE_EACH, DAY) == Money(4_000_000)


@given(st.integers(0, 10_000 * 10**6), st.integers(0, 10**7))
def test_no_digit_of_a_price_is_lost(millionths: int, tokens: int) -> None:
    text = f"{millionths // 10**6}.{millionths % 10**6:06d}"
    for spelt in (f'"{text}"', text):
        path = written(f'[prices."house:m"]\ninput_per_million = {spelt}\noutput_per_million = 0')
        assert PriceBook.load(path).price("house:m", Usage(input_tokens=tokens), DAY).pico == millionths * tokens


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("-0.15", "is negative"),
        ('"-1"', "is negative"),
        ("10000.01", "is more than 10000 dollars per million tokens"),
        ('"99999999999999"', "is not a plain number"),
        ('"0.0000001"', "has more than six decimals"),
        ("0.15000000000000000000000000000001", "is not a plain number"),
        ("nan", "is not a plain number"),
        ("inf", "is not a plain number"),
        ("true", "is not a plain number"),
        ('"cheap"', "is not a plain number"),
        ('""', "is not a plain number"),
        ("[1]", "is not a plain number"),
        ("1e-3", "is not a plain number"),
    ],
)
def test_a_price_that_cannot_be_is_refused_with_its_line(value: str, said: str) -> None:
    path = written(f'[prices."openai:gpt-x"]\ninput_per_million = 1\noutput_per_million = {value}')
    with pytest.raises(InvalidSettings) as caught:
        own_rates(path)
    assert said in caught.value.what
    assert 'trunkline.toml: [prices."openai:gpt-x"] output_per_million' in caught.value.what
    assert '"0.15"' in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[prices."house:m"]\ninput_per_million = 1', "has no output_per_million"),
        ('[prices."house:m"]\noutput_per_million = 1', "has no input_per_million"),
        ('[prices."house:m"]\ninput_per_milion = 1', "Did you mean `input_per_million`?"),
        ("[prices.m]\ninput_per_million = 1", '[prices."m"] is not a model'),
        ('[prices]\n"house:m" = 3', '[prices."house:m"] is not a model'),
        ('[prices.":m"]', '[prices.":m"] is not a model'),
        ("prices = 3", "prices is not a table"),
        ("[prices", "is not TOML"),
        (
            """
            [prices."openai:m"]
            input_per_million = 1
            output_per_million = 1
            [prices."openai-responses:m"]
            input_per_million = 2
            output_per_million = 2
            """,
            '[prices."openai-responses:m"] is priced twice',
        ),
    ],
)
def test_a_table_that_means_nothing_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        own_rates(written(text))
    assert said in str(caught.value)
    assert "trunkline.toml" in str(caught.value)
