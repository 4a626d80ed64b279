"""The operator's own prices: `[prices."provider:model"]` in the settings file, which win over the shipped table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trunkline.contracts.errors import InvalidSettings
from trunkline.prices.money import PICODOLLARS, Money
from trunkline.prices.rates import Rate, Rates
from trunkline.settings_file import read_settings, refuse_unknown, table_of

ALIASES = {"gemini": "google", "openai-chat": "openai", "openai-responses": "openai"}
"""Ways to speak to a provider that are no other prices."""
REQUIRED = ("input_per_million", "output_per_million")
OPTIONAL = ("cache_read_per_million", "cache_write_per_million")
DEAREST = Money(10_000 * PICODOLLARS)
"""Per million tokens, a cent a token: more than ten times what any model charges."""
MILLION = 10**6
_EXAMPLE = 'Write US dollars in plain digits with at most six decimals, like "0.15".'


def canonical_name(model: str) -> tuple[str, str]:
    """Provider and name of `provider:name`; both are the table's words for them."""
    provider, _, name = model.partition(":")
    return ALIASES.get(provider, provider), name


def own_rates(path: Path | None) -> dict[str, Rates]:
    """By `provider:name`. Raises InvalidSettings, which names the line."""
    where, document = read_settings(path, parse_float=str)
    found: dict[str, Rates] = {}
    for model, table in table_of(document, "prices", where).items():
        section = f'[prices."{model}"]'
        provider, name = canonical_name(model)
        if not provider or not name or not isinstance(table, dict):
            raise InvalidSettings(
                f"{where}: {section} is not a model's table of prices.",
                'Name the model as provider:model, in quotes: [prices."openai:gpt-x"].',
            )
        if f"{provider}:{name}" in found:
            raise InvalidSettings(f"{where}: {section} is priced twice, under two names.", "Remove one of them.")
        found[f"{provider}:{name}"] = _rates(table, section, where)
    return found


def _rates(table: Mapping[str, Any], section: str, where: Path) -> Rates:
    refuse_unknown(table, (*REQUIRED, *OPTIONAL), section, where)
    missing = [key for key in REQUIRED if key not in table]
    if missing:
        raise InvalidSettings(f"{where}: {section} has no {missing[0]}.", f"{_EXAMPLE} A price of 0 must be said, too.")
    input_, output, read, write = (
        _rate(table[key], f"{section} {key}", where) if key in table else None for key in (*REQUIRED, *OPTIONAL)
    )
    return Rates(input_, output, read, write)


def _rate(value: object, line: str, where: Path) -> Rate:
    """Picodollars a token. The number is taken by its digits; a float would not be what was written."""
    text = str(value)
    try:
        price = Money.parse(text)
    except ValueError:
        price = None
    if isinstance(value, str | int) and price is not None and price <= DEAREST and price.pico % MILLION == 0:
        return Rate(price.pico // MILLION)
    raise InvalidSettings(f"{where}: {line} = {text[:40]!r} {_complaint(text, price)}.", _EXAMPLE)


def _complaint(text: str, price: Money | None) -> str:
    if price is None:
        return "is negative" if text.startswith("-") else "is not a plain number"
    return f"is more than {DEAREST} dollars per million tokens" if price > DEAREST else "has more than six decimals"
