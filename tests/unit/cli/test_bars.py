"""Amounts as bars, and below each other."""

from decimal import Decimal

import pytest

from trunkline.cli.bars import aligned, bar, percent


@pytest.mark.parametrize(
    ("share", "drawn"),
    [
        (0, "────"),
        (0.001, "╸───"),
        (0.125, "╸───"),
        (0.25, "━───"),
        (0.375, "━╸──"),
        (1, "━━━━"),
        (7, "━━━━"),
        (-1, "────"),
    ],
)
def test_a_bar_shows_its_share_in_half_columns(share: float, drawn: str) -> None:
    assert bar(share, 4, "good", track=True).plain == drawn
    assert bar(share, 4, "good").plain == drawn.replace("─", " ")


@pytest.mark.parametrize(
    ("share", "said"),
    [("0", "0 %"), ("0.0001", "< 1 %"), ("0.01", "1 %"), ("0.8", "80 %"), ("1.2", "120 %"), ("99", "> 999 %")],
)
def test_what_is_little_is_not_nothing(share: str, said: str) -> None:
    assert percent(Decimal(share)) == said


def test_decimal_points_stand_below_each_other() -> None:
    amounts = ["$12.10", "$0.0123", "$0", "?"]
    assert aligned(amounts) == ["$12.10  ", "$0.0123", "$0     ", "?     "]
    assert aligned([]) == []
