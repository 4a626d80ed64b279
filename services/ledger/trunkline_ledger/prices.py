"""What a model call costs, from the price table that ships with genai-prices; nothing is ever asked of the network.

Fails closed: a price that is not known is None, never 0. Only `offline:` models are free.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, Field

from trunkline.contracts.codec import input_hash
from trunkline.contracts.dialog import Usage
from trunkline_ledger.money import picodollars

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelPrice

OFFLINE = "offline:"
MILLION = Decimal(1_000_000)


class Price(BaseModel, frozen=True, extra="forbid"):
    """An operator's own price of a model: US dollars per million tokens. Cached input costs `input` unless said."""

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    cache_read: Decimal | None = Field(None, ge=0)
    cache_write: Decimal | None = Field(None, ge=0)

    def of(self, usage: Usage) -> Decimal:
        plain = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
        read = self.input if self.cache_read is None else self.cache_read
        write = self.input if self.cache_write is None else self.cache_write
        parts = (
            self.input * plain,
            read * usage.cache_read_tokens,
            write * usage.cache_write_tokens,
            self.output * usage.output_tokens,
        )
        return sum(parts, Decimal(0)) / MILLION


class Pricing(Protocol):
    """What the projection needs of a price list."""

    def cost(self, model: str, usage: Usage, at: datetime) -> int | None: ...

    def is_free(self, model: str) -> bool: ...


class Prices:
    """`overrides` maps `provider:name` to the operator's price and wins over the table."""

    def __init__(self, overrides: Mapping[str, Price] | None = None) -> None:
        self._overrides = dict(overrides or {})
        self._unknown: set[str] = set()

    @property
    def edition(self) -> str:
        """Which prices these are: rows priced by another edition change their cents when they are read again."""
        said = {model: price.model_dump(mode="json") for model, price in self._overrides.items()}
        own = f" + {input_hash(said)[:12]}" if said else ""
        return f"genai-prices {version('genai-prices')}{own}"

    def is_free(self, model: str) -> bool:
        return model.startswith(OFFLINE)

    def cost(self, model: str, usage: Usage, at: datetime) -> int | None:
        """Picodollars, at the prices of that day; None when nobody knows."""
        amount = self.dollars(model, usage, at)
        return None if amount is None else picodollars(amount)

    def dollars(self, model: str, usage: Usage, at: datetime) -> Decimal | None:
        """The same in US dollars. `model` is `provider:name`; `input_tokens` includes the cached ones."""
        if self.is_free(model):
            return Decimal(0)
        if usage.cache_read_tokens + usage.cache_write_tokens > usage.input_tokens:
            return None
        if (own := self._overrides.get(model)) is not None:
            return own.of(usage)
        if model in self._unknown:
            return None
        return self._from_table(model, usage, at)

    def _from_table(self, model: str, usage: Usage, at: datetime) -> Decimal | None:
        from genai_prices import Usage as Tokens

        provider, _, name = model.partition(":")
        tokens = Tokens(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        )
        if not name:
            return None
        try:
            calculated = self._table.calc(tokens, name, provider, None, at)
        except LookupError:
            self._unknown.add(model)
            return None
        except ValueError:
            return None
        return calculated.total_price if _covers(calculated.model_price, usage) else None

    @cached_property
    def _table(self) -> "DataSnapshot":
        from genai_prices.data import providers
        from genai_prices.data_snapshot import DataSnapshot

        # A snapshot of our own: the package's global one could be replaced by an updated download.
        return DataSnapshot(providers=providers, from_auto_update=False)


def _covers(price: "ModelPrice", usage: Usage) -> bool:
    """A table entry without a price for what was used would count it as free."""
    return (not usage.input_tokens or price.input_mtok is not None) and (
        not usage.output_tokens or price.output_mtok is not None
    )
