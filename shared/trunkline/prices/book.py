"""What a model call costs: by the operator's own prices, then by the table that ships with genai-prices.

Fails closed: a price that is not known is an error, never 0. Models that run here are free, unless the operator says
what they cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from trunkline.contracts.codec import input_hash
from trunkline.contracts.dialog import Usage
from trunkline.contracts.errors import UnknownPrice
from trunkline.prices.money import Money
from trunkline.prices.own import canonical_name, own_rates
from trunkline.prices.rates import FREE, Rates
from trunkline.prices.table import Table, table_version

FREE_PROVIDERS = frozenset({"offline", "ollama"})
LONGEST_CALL = timedelta(hours=1)
"""No setting lets a model call take longer; some prices change with the hour."""


class PriceBook:
    """All prices of a process. `own` is by `provider:name`, models are named so everywhere."""

    def __init__(self, own: Mapping[str, Rates] | None = None) -> None:
        self._own = dict(own or {})
        self._table: Table | None = None

    @classmethod
    def load(cls, path: Path | None = None) -> PriceBook:
        """With the prices of the settings file `path`, or of `trunkline.toml` here. Raises InvalidSettings."""
        return cls(own_rates(path))

    @cached_property
    def version(self) -> str:
        """Which prices these are: the table's version, and a hash of the operator's."""
        said = {model: asdict(rates) for model, rates in self._own.items()}
        return table_version() + (f" + {input_hash(said)[:12]}" if said else "")

    async def prepare(self, *models: str) -> None:
        """Load the table, in a thread, if one of these models may be in it: before somebody waits for a price."""
        if self._table is None and any(canonical_name(model)[1] and not self._without_table(model) for model in models):
            self._table = await asyncio.to_thread(Table)

    def is_free(self, model: str) -> bool:
        """Whether it costs nothing, whatever is used: it runs here, or the operator says so."""
        rates = self._without_table(model)
        return rates is not None and rates.free

    def price(self, model: str, usage: Usage, at: datetime | None = None, *, asked: str = "") -> Money:
        """Of one call at `at`, or now. `model` is what served it; an own price of the model that was `asked` counts for
        it too, since a provider may answer with a more exact name. Raises UnknownPrice.
        """
        if not _possible(usage):
            raise UnknownPrice(
                f"No price fits what {model} says was used: {usage}.",
                "input_tokens must include the cached ones, and no number may be negative.",
                model=model,
            )
        rates = self._without_table(model) or self._said_of(asked) or self._from_table(model, at or _now())
        return _known(rates.cost(usage), model)

    def spared(self, model: str, usage: Usage, tokens: int, *, asked: str = "") -> Money:
        """How much dearer a call would have been with so many input tokens more, of which the provider's cache would
        have read and written the same share as of those that there were. Raises UnknownPrice.
        """
        read, written = (
            cached * tokens // usage.input_tokens if usage.input_tokens else 0
            for cached in (usage.cache_read_tokens, usage.cache_write_tokens)
        )
        longer = usage + Usage(input_tokens=tokens, cache_read_tokens=read, cache_write_tokens=written)
        return Money(self.price(model, longer, asked=asked).pico - self.price(model, usage, asked=asked).pico)

    def worst_case(self, model: str, input_tokens: int, max_output_tokens: int, at: datetime | None = None) -> Money:
        """An upper bound of `price` for a call that is begun at `at`, or now, and uses no more than that, whatever the
        cache does. Raises UnknownPrice, also for a reply without a limit.
        """
        if max_output_tokens <= 0:
            raise UnknownPrice(
                f"What a call of {model} may cost is not known: its reply has no limit.",
                "Give it max_output_tokens.",
                model=model,
            )
        begun = at or _now()
        return max(
            _known(self._rates(model, when).most(input_tokens, max_output_tokens), model)
            for when in (begun, begun + LONGEST_CALL)
        )

    def _rates(self, model: str, at: datetime) -> Rates:
        return self._without_table(model) or self._from_table(model, at)

    def _without_table(self, model: str) -> Rates | None:
        provider, name = canonical_name(model)
        return self._said_of(model) or (FREE if provider in FREE_PROVIDERS and name else None)

    def _said_of(self, model: str) -> Rates | None:
        return self._own.get(":".join(canonical_name(model)))

    def _from_table(self, model: str, at: datetime) -> Rates:
        if self._table is None:
            self._table = Table()
        rates = self._table.rates(*canonical_name(model), at)
        if rates is None:
            raise _unknown(model)
        return rates


def _known(pico: int | None, model: str) -> Money:
    if pico is None:
        raise _unknown(model)
    return Money(pico)


def _unknown(model: str) -> UnknownPrice:
    return UnknownPrice(
        f"The price of {model} is not known.",
        f'Write it in trunkline.toml: [prices."{model}"] with input_per_million and output_per_million, in US dollars.',
        model=model,
    )


def _possible(usage: Usage) -> bool:
    cached = usage.cache_read_tokens, usage.cache_write_tokens
    return min(*cached, usage.output_tokens) >= 0 and sum(cached) <= usage.input_tokens


def _now() -> datetime:
    return datetime.now(UTC)
