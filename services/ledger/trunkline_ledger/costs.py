"""What a model call cost: as its worker recorded it, else by the ledger's own price book. Picodollars."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from trunkline.contracts.dialog import Usage
from trunkline.contracts.errors import BadMessage, UnknownPrice
from trunkline.prices import Money, PriceBook

MOST = Money.parse("10000")
"""For one call: beyond it somebody writes nonsense."""


class Cost(NamedTuple):
    """`pico` None: nobody knows. `prices`: the version of the price table that it is by."""

    pico: int | None
    prices: str = ""


UNKNOWN = Cost(None)
NOTHING = Cost(0)


def recorded(cost: str, prices: str) -> Cost:
    """Raises BadMessage for what is no amount, or more than a call can cost."""
    try:
        amount = Money.parse(cost)
    except ValueError as error:
        raise BadMessage(f"cost: {error}") from None
    if amount > MOST:
        raise BadMessage(f"cost {amount} is out of range.", f"A model call costs at most {MOST} US dollars.")
    return Cost(amount.pico, prices)


def by_book(book: PriceBook, model: str, usage: Usage, at: datetime, *, asked: str = "") -> Cost:
    """At the prices of that day."""
    try:
        amount = book.price(model, usage, at, asked=asked)
    except UnknownPrice:
        return UNKNOWN
    return Cost(amount.pico, book.version) if amount <= MOST else UNKNOWN


def amount(text: str) -> int | None:
    """None when nothing is said, or nothing that can be believed."""
    try:
        said = Money.parse(text)
    except ValueError:
        return None
    return said.pico if said <= MOST else None
