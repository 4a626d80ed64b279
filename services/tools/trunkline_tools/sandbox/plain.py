"""Signatures that JSON alone can say. Their arguments are checked by the executor, without any of the user's code.

What pydantic would do with a type is written in its core schema. Only what is listed here is carried over, so that
whatever pydantic adds, and whatever a hostile file makes up, means that the call's own process checks the arguments.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any, get_type_hints

ALLOWED: dict[str, frozenset[str]] = {
    "any": frozenset(),
    "none": frozenset(),
    "bool": frozenset({"strict"}),
    "int": frozenset({"strict", "ge", "gt", "le", "lt", "multiple_of"}),
    "float": frozenset({"strict", "ge", "gt", "le", "lt", "multiple_of", "allow_inf_nan"}),
    "str": frozenset({"strict", "min_length", "max_length", "pattern", "strip_whitespace", "to_lower", "to_upper"}),
    "literal": frozenset({"expected"}),
    "nullable": frozenset({"schema"}),
    "union": frozenset({"choices"}),
    "list": frozenset({"items_schema", "min_length", "max_length", "strict"}),
    "dict": frozenset({"keys_schema", "values_schema", "min_length", "max_length", "strict"}),
}
BELOW = frozenset({"schema", "items_schema", "keys_schema", "values_schema"})
UNSEEN = frozenset({"type", "metadata"})  # metadata is for the JSON schema
DEEPEST = 32


class NotPlainError(Exception):
    """A type that needs Python objects."""


def arguments_schema(function: Callable[..., Any]) -> dict[str, Any] | None:
    """How to check the arguments of `function`, as JSON; None when that takes more than JSON values."""
    from pydantic import PydanticUserError, TypeAdapter

    parameters = inspect.signature(function).parameters
    try:
        hints = get_type_hints(function, include_extras=True)
        fields = {
            name: {
                "schema": dict(TypeAdapter(hints.get(name, Any)).core_schema),
                "required": each.default is each.empty,
            }
            for name, each in parameters.items()
        }
        return checked(fields)
    except (NotPlainError, NameError, TypeError, PydanticUserError):
        return None


def returns_plain(function: Callable[..., Any]) -> bool:
    """Whether the declared result needs no pydantic to become JSON. Undeclared, it is taken to be JSON."""
    from pydantic import PydanticUserError, TypeAdapter

    try:
        hint = get_type_hints(function, include_extras=True).get("return", Any)
        _plain(dict(TypeAdapter(hint).core_schema), 0)
    except (NotPlainError, NameError, TypeError, PydanticUserError):
        return False
    return True


def checked(fields: dict[str, Any]) -> dict[str, Any]:
    """A core schema of `fields`, of which nothing is believed. Raises NotPlainError, TypeError and LookupError."""
    return {
        "type": "typed-dict",
        "extra_behavior": "forbid",
        "fields": {
            str(name): {
                "type": "typed-dict-field",
                "schema": _plain(field["schema"], 0),
                "required": field["required"] is True,
            }
            for name, field in fields.items()
        },
    }


def _plain(schema: dict[str, Any], depth: int) -> dict[str, Any]:
    kind = schema["type"]
    keys = schema.keys() - UNSEEN
    if kind not in ALLOWED or not keys <= ALLOWED[kind] or depth > DEEPEST:
        raise NotPlainError(kind)
    if kind == "dict" and schema.get("keys_schema", {}).get("type", "any") not in {"any", "str"}:
        raise NotPlainError("the keys of a JSON object are strings")
    return {"type": kind} | {key: _value(key, schema[key], depth) for key in keys}


def _value(key: str, value: Any, depth: int) -> Any:
    if key in BELOW:
        return _plain(value, depth + 1)
    if key == "choices":
        return [_plain(choice, depth + 1) for choice in value]
    if key == "expected":
        return [_literal(each) for each in value]
    return _literal(value)


def _literal(value: Any) -> Any:
    """Exactly these types: a member of an enum may be a string, too."""
    if type(value) not in {str, int, bool, float, type(None)} or (type(value) is float and not math.isfinite(value)):
        raise NotPlainError(type(value))
    return value
