"""The price table that ships with genai-prices, as rates. Nothing is ever asked of the network.

The table and its types cost 0.4 s of CPU to import, so that happens when the first price is looked up in it.
"""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from trunkline.prices.rates import Rate, Rates

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

KNOWN_MODELS = 4096
"""So many names are remembered; a log may name any number."""


def table_version() -> str:
    """The data come with the package, so its version is theirs."""
    return f"genai-prices {version('genai-prices')}"


class Table:
    """Prices by provider and model's name, at a time."""

    def __init__(self) -> None:
        from genai_prices.data import providers

        self._providers = providers
        self._by_id = {provider.id: provider for provider in providers}
        self._rates: dict[int, Rates] = {}
        self._find = lru_cache(KNOWN_MODELS)(self._look_up)

    def rates(self, provider: str, name: str, at: datetime) -> Rates | None:
        """None when the table does not know the model. A provider is known by its id alone: one that is merely called
        like another may charge anything.
        """
        model = self._find(provider, name)
        if model is None:
            return None
        price = model.get_prices(at)
        found = self._rates.get(id(price))
        if found is None:
            found = self._rates[id(price)] = rates_of(price)
        return found

    def _look_up(self, provider: str, name: str) -> ModelInfo | None:
        known = self._by_id.get(provider)
        return known.find_model(name, all_providers=self._providers) if known and name else None


def rates_of(price: ModelPrice) -> Rates:
    return Rates(
        input=_rate(price.input_mtok),
        output=_rate(price.output_mtok),
        cache_read=_rate(price.cache_read_mtok),
        cache_write=_rate(price.cache_write_mtok),
        call=_each_call(price.requests_kcount),
    )


def _rate(price: Decimal | TieredPrices | None) -> Rate | None:
    if price is None or isinstance(price, Decimal):
        return None if price is None else Rate(_a_token(price))
    return Rate(_a_token(price.base), tuple((tier.start, _a_token(tier.price)) for tier in price.tiers))


def _each_call(price: Decimal | TieredPrices | None) -> int:
    """Of dollars per thousand calls."""
    return 0 if price is None else int((price if isinstance(price, Decimal) else price.base).scaleb(9))


def _a_token(per_million: Decimal) -> int:
    """Some entries were computed in floats, and say 0.13999999999999999: the picodollar a token is the finest."""
    return int(per_million.scaleb(6).to_integral_value(ROUND_HALF_EVEN))
