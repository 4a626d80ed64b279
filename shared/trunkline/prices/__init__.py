"""What model calls cost: exact money, the shipped price table, the operator's own prices, and upper bounds."""

from trunkline.prices.book import PriceBook
from trunkline.prices.money import Money
from trunkline.prices.tokens import most_input_tokens, most_tokens

__all__ = ["Money", "PriceBook", "most_input_tokens", "most_tokens"]
