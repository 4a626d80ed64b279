"""A tool's signature is its schema, and what it declares is all that it may do."""

import asyncio
import subprocess
import sys
import textwrap
from dataclasses import FrozenInstanceError
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from trunkline.contracts.errors import InvalidArguments, InvalidName, InvalidSettings
from trunkline.tool import Tool, tool


class Line(BaseModel):
    sku: str
    count: int = 1


@tool
def order(
    customer: str,
    lines: list[Line],
    discount: Annotated[float, Field(description="from 0 to 1", ge=0, le=1)] = 0.0,
) -> str:
    """Place an order.

    The second line.
    """
    return f"{customer}: {sum(line.count for line in lines)} at {discount}"


def refused(a_tool: Tool, arguments: Any) -> InvalidArguments:
    with pytest.raises(InvalidArguments) as raised:
        a_tool.validate(arguments)
    return raised.value


def test_a_bare_tool_has_the_least_power() -> None:
    assert (order.name, order.effect, order.idempotent, order.approve, order.timeout) == (
        *("order", "read", False, False),
        30.0,
    )


def test_a_tool_is_still_the_function() -> None:
    assert order("ann", [Line(sku="x", count=2)]) == "ann: 2 at 0.0"


def test_an_async_tool_is_still_the_coroutine_function() -> None:
    @tool(timeout=5)
    async def wait(seconds: float) -> float:
        await asyncio.sleep(0)
        return seconds

    assert wait.is_async
    assert not order.is_async
    assert asyncio.run(wait(0.5)) == 0.5


def test_a_tool_cannot_be_given_more_power_later() -> None:
    with pytest.raises(FrozenInstanceError):
        order.effect = "write"  # type: ignore[misc]


def test_declared_powers_stand_on_the_card() -> None:
    @tool(name="invoices.refund", timeout=5, effect="write", idempotent=True, approve=True)
    def refund(invoice: int) -> None:
        """Refund an invoice."""

    card = refund.card("executor-1", "billing.py@abc")
    assert (card.tool, card.executor, card.source) == ("invoices.refund", "executor-1", "billing.py@abc")
    assert (card.effect, card.idempotent, card.approve, card.timeout_seconds) == ("write", True, True, 5.0)
    assert card.description == "Refund an invoice."
    assert card.parameters["properties"] == {"invoice": {"type": "integer"}}


def test_the_schema_is_the_signature() -> None:
    assert order.description == "Place an order.\n\nThe second line."
    schema = order.parameters
    assert schema["required"] == ["customer", "lines"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["discount"] == {
        "default": 0.0,
        "description": "from 0 to 1",
        "maximum": 1,
        "minimum": 0,
        "type": "number",
    }
    assert schema["properties"]["lines"] == {"items": {"$ref": "#/$defs/Line"}, "type": "array"}
    assert "title" not in schema


def test_arguments_arrive_as_the_types_of_the_signature() -> None:
    checked = order.validate({"customer": "ann", "lines": [{"sku": "x"}]})
    assert checked == {"customer": "ann", "lines": [Line(sku="x", count=1)]}
    assert order(**checked) == "ann: 1 at 0.0"


def test_each_bad_argument_is_named_without_noise() -> None:
    error = refused(order, {"lines": [{"sku": "x", "count": "many"}], "discount": 2, "colour": "red"})
    assert error.what == (
        "order cannot take these arguments: customer is missing; "
        "lines.0.count: Input should be a valid integer, unable to parse string as an integer, not 'many'; "
        "discount: Input should be less than or equal to 1, not 2; colour is not a parameter."
    )
    assert error.hint == "It takes customer, lines, discount (optional)."
    assert "pydantic" not in str(error)


def test_a_refusal_stays_short() -> None:
    many = refused(order, {"customer": "x" * 10, "lines": [{"sku": ["y" * 1000]}] * 500})
    assert len(str(many)) < 1500
    assert "and 492 more" in many.what


@pytest.mark.parametrize("arguments", [[1], "text", None, 3])
def test_arguments_are_an_object(arguments: object) -> None:
    assert "not a JSON object" in refused(order, arguments).what


def test_parameters_may_have_any_name() -> None:
    @tool
    def odd(json: int, copy: int, _x: int, model_config: int, schema: int = 1) -> None: ...

    given = {"json": 1, "copy": 2, "_x": 3, "model_config": 4}
    assert odd.validate(given) == given
    assert list(odd.parameters["properties"]) == ["json", "copy", "_x", "model_config", "schema"]
    assert "p0 is not a parameter" in refused(odd, {"p0": 1}).what


@pytest.mark.parametrize("name", ["a b", "a__b", "", "x" * 65, "a.*"])
def test_a_name_must_be_a_subject_token(name: str) -> None:
    with pytest.raises(InvalidName):
        tool(name=name or "<lambda>")(order.function)


@pytest.mark.parametrize(
    "powers", [{"timeout": 0}, {"timeout": -1}, {"timeout": float("inf")}, {"timeout": float("nan")}, {"effect": "all"}]
)
def test_impossible_powers_are_refused(powers: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettings, match="order"):
        tool(**powers)(order.function)


def test_parameters_without_names_are_refused() -> None:
    def positional(a: int, /) -> None: ...
    def many(*items: int) -> None: ...
    def named(**items: int) -> None: ...

    for function in (positional, many, named):
        with pytest.raises(InvalidSettings, match="cannot be given by name"):
            tool(function)


def test_types_without_a_schema_are_refused() -> None:
    class Socket: ...

    def send(to: Socket) -> None: ...

    with pytest.raises(InvalidSettings, match="send: its signature has no schema"):
        _ = tool(send).parameters


def test_a_field_as_a_default_is_refused_with_the_right_spelling() -> None:
    def search(limit: int = Field(10, ge=1)) -> None: ...

    with pytest.raises(InvalidSettings, match=r"limit: Annotated\[type, Field\(...\)\] = default"):
        _ = tool(search).parameters


def test_declaring_and_running_a_tool_does_not_import_pydantic() -> None:
    code = """
        import sys
        from trunkline.tool import tool
        @tool
        def double(number: int) -> int:
            return 2 * number
        assert double(2) == 4
        sys.exit("pydantic" in sys.modules or "msgspec" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False).returncode == 0
