"""Amounts of money: exact in every sum, and the same after they were written and read."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.prices import Money

amounts = st.integers(0, 10**24 - 1).map(Money)


@pytest.mark.parametrize(("pico", "text"), [(0, "0"), (1, "0.000000000001"), (10**12, "1"), (25 * 10**13, "250")])
def test_dollars_are_written_without_an_exponent(pico: int, text: str) -> None:
    assert str(Money(pico)) == text
    assert Money.parse(text) == Money(pico)


def test_what_is_owed_the_other_way_is_written_too() -> None:
    assert str(Money(-1_500_000_000_000)) == "-1.5"


@given(amounts)
def test_what_is_written_is_read_as_the_same_amount(amount: Money) -> None:
    assert Money.parse(str(amount)) == amount


@given(st.lists(amounts, max_size=50))
def test_a_sum_is_exact(parts: list[Money]) -> None:
    """Against fractions of what was written, which know no rounding."""
    whole = sum(parts, Money())
    assert Fraction(str(whole)) == sum(Fraction(str(part)) for part in parts)


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "NaN", "Infinity", "1e3", "0x10", "1,5", ".5", "1.", " 1", "1_000", "٣", "0.0000000000001"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount of US dollars"):
        Money.parse(text)


def test_amounts_are_compared_by_what_they_are_worth() -> None:
    assert max(Money.parse("0.3"), Money.parse("0.25"), Money.parse("0.299999999999")) == Money.parse("0.3")
