"""Money is counted in whole picodollars (10⁻¹² US dollars), so that sums are exact in Python and in SQL."""

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

PICODOLLARS = Decimal(10**12)
MOST = 10**16  # ten thousand dollars for one call: beyond it somebody writes nonsense


def picodollars(dollars: Decimal) -> int | None:
    """Exact for every price with at most six decimals per million tokens; else rounded half to even, once a call.

    None for what cannot be a price: negative, not finite, or more than one call can cost.
    """
    if not dollars.is_finite() or dollars < 0 or dollars > MOST / PICODOLLARS:
        return None
    return int((dollars * PICODOLLARS).to_integral_value(ROUND_HALF_EVEN))


def parsed(dollars: str) -> int | None:
    """Picodollars of a decimal string; None for an empty or a bad one."""
    try:
        return picodollars(Decimal(dollars[:40])) if dollars else None
    except InvalidOperation:
        return None


def dollars(pico: int) -> str:
    """`"0.003495"`: as many decimals as the amount has, never an exponent."""
    return format((Decimal(pico) / PICODOLLARS).normalize(), "f")
