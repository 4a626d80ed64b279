"""Values for arguments: from earlier results, from an enum, from digits."""

import re
from collections.abc import Mapping
from typing import Any

from trunkline.models.offline.catalog import Parameter

MISSING: Any = object()
_MOST_DIGITS = 15  # what JSON readers keep exact
_TYPES: dict[str, tuple[type, ...]] = {"integer": (int,), "number": (int, float), "boolean": (bool,)}


def known(parameter: Parameter, facts: Mapping[str, Any]) -> Any:
    """The fact of the parameter's name, when it is of its type."""
    value = facts.get(parameter.name, MISSING)
    if value is MISSING or parameter.type == "string":
        return value if value is MISSING else str(value)
    return value if isinstance(value, _TYPES.get(parameter.type, ())) else MISSING


def occurs(choice: str, said: str) -> bool:
    """As a word of its own; `express_plus` may be said as `express plus`."""
    spoken = re.sub("[_-]", " ", choice)
    return any(form and re.search(rf"(?<!\w){re.escape(form)}(?!\w)", said) for form in (choice, spoken))


def numeric(text: str, parameter: Parameter, *, money: bool) -> Any:
    """The number that the parameter can take; 12.50 of money are 1250 for a parameter in cents."""
    digits = text.replace(",", "")
    if len(digits) > _MOST_DIGITS:
        return MISSING
    number = float(digits)
    if money and "cent" in parameter.stems:
        number = round(number * 100, 6)
    if parameter.type == "number":
        return int(number) if number.is_integer() and "." not in text else number
    return int(number) if number.is_integer() else MISSING
