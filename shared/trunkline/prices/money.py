"""US dollars in whole picodollars (10⁻¹²), so that sums are exact in Python, in SQL and on the log."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec

DECIMALS = 12
PICODOLLARS = 10**DECIMALS
MOST_WHOLE_DIGITS = 12
_AMOUNT = re.compile(rf"([0-9]{{1,{MOST_WHOLE_DIGITS}}})(?:\.([0-9]{{1,{DECIMALS}}}))?")


class Money(msgspec.Struct, frozen=True, order=True):
    """An amount of US dollars. `str` and `parse` are each other's inverse."""

    pico: int = 0

    @classmethod
    def parse(cls, text: str) -> Money:
        """Of plain decimal digits, like `0.003495`. Raises ValueError; nothing is rounded, and nothing is negative."""
        found = _AMOUNT.fullmatch(text)
        if found is None:
            raise ValueError(
                f"{text[:40]!r} is not an amount of US dollars: write plain digits, with at most {DECIMALS} decimals, "
                'like "0.25".'
            )
        whole, decimals = found.groups(default="")
        return cls(int(whole) * PICODOLLARS + int(decimals.ljust(DECIMALS, "0")))

    @property
    def dollars(self) -> Decimal:
        return Decimal(self.pico).scaleb(-DECIMALS)

    def __add__(self, other: Money) -> Money:
        return Money(self.pico + other.pico)

    def __str__(self) -> str:
        """`0.003495`: as many decimals as the amount has, never an exponent."""
        whole, decimals = divmod(abs(self.pico), PICODOLLARS)
        text = f"{whole}.{decimals:0{DECIMALS}d}".rstrip("0").rstrip(".")
        return f"-{text}" if self.pico < 0 else text
