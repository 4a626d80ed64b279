"""What JSON alone can say is checked without the user's code, and exactly as a tool checks it itself."""

import json
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from trunkline.contracts.errors import InvalidArguments
from trunkline.tool import tool
from trunkline_tools.sandbox import plain
from trunkline_tools.sandbox.arguments import Check, packed

Colour = Enum("Colour", {"RED": "red"}, type=str)


class Model(BaseModel):
    a: int


@dataclass
class Pair:
    a: int


PLAIN: list[tuple[Any, list[Any]]] = [
    (int, [1, "2", 2.0, 2.5, True, "x", None, "9" * 30]),
    (float, [1, "2.5", "nan", "inf", "x", None]),
    (bool, [True, "yes", 1, 2, "x"]),
    (str, ["x", "", 1, None]),
    (None, [None, 1]),
    (Any, [1, {"a": [None]}, "x"]),
    (int | None, [None, "3", "x"]),
    (int | str, [1, "1", 1.5, []]),
    (list[int], [[1, "2"], [], "1", {"a": 1}]),
    (list, [[1, "a"], 1]),
    (dict[str, float], [{"a": "1"}, {"a": "x"}, [], {}]),
    (dict, [{"a": {"b": 1}}, 1]),
    (Literal["a", 1], ["a", 1, "b", True]),
    (Annotated[float, Field(ge=0, le=1, description="a share")], [0, 1, 2, "0.5"]),
    (Annotated[str, Field(max_length=3, pattern="^a")], ["abc", "b", "abcd"]),
    (list[dict[str, int | None]], [[{"a": None}], [{"a": "x"}]]),
]
NOT_PLAIN = [
    *(Model, Pair, date, Colour, bytes, set[int], tuple[int, str], dict[int, str], list[Model], Model | None),
    *(Literal[Colour.RED], Annotated[int, Field(default=3)], complex),
]


def declare(kind: Any) -> Any:
    def f(a: kind, b: int = 7) -> None: ...

    return tool(f)


def check(kind: Any) -> Check:
    declared = declare(kind)
    schema = plain.arguments_schema(declared.function)
    assert schema is not None
    return Check(declared.card("e", "s"), json.loads(json.dumps(schema["fields"])))


def result(convert: Any, arguments: Any) -> str:
    """Text, because `nan` is not itself, and `True` is `1`."""
    try:
        return repr(convert(arguments))
    except InvalidArguments as error:
        return str(error)


@pytest.mark.parametrize(("kind", "values"), PLAIN)
def test_the_executor_says_what_the_tool_would(kind: Any, values: list[Any]) -> None:
    declared, checked = declare(kind), check(kind)
    for given in [*({"a": value} for value in values), {"a": values[0], "b": "8", "c": 1}, {}, {"b": 1}, [1], "x"]:
        assert result(checked.convert, given) == result(declared.validate, given)


@pytest.mark.parametrize("kind", NOT_PLAIN)
def test_what_needs_python_objects_is_not_plain(kind: Any) -> None:
    assert plain.arguments_schema(declare(kind).function) is None


def test_a_result_that_needs_pydantic_is_known_by_its_annotation() -> None:
    def listed() -> list[int]: ...  # type: ignore[empty-body]
    def modelled() -> list[Model]: ...  # type: ignore[empty-body]
    def silent(): ...  # type: ignore[no-untyped-def]

    assert plain.returns_plain(listed)
    assert plain.returns_plain(silent)
    assert not plain.returns_plain(modelled)


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "int"}
    for _ in range(depth):
        schema = {"type": "nullable", "schema": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "int", "unheard_of": 1},
        {"type": "function-plain", "function": "x"},
        {"type": "str", "pattern": ["a"]},
        {"type": "literal", "expected": [[1]]},
        {"type": "dict", "keys_schema": {"type": "int"}},
        nested(100),
    ],
)
def test_a_made_up_schema_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(plain.NotPlainError):
        plain.checked({"a": {"schema": schema, "required": True}})


def test_arguments_travel_converted_and_without_defaults() -> None:
    assert packed("f", {"a": "1"}, check(int)) == b'{"a": 1}'
    assert packed("f", {"a": "1"}, None) == b'{"a":"1"}'
