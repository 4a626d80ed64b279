"""The platform's own tools: they read, reach nobody, and run in the same sandbox as everybody's."""

import ast
import math
import operator
from collections.abc import Callable
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field

from trunkline import tool

LARGEST_POWER = 1000


def _power(base: float, exponent: float) -> float:
    """Large powers of whole numbers would fill the memory."""
    if abs(exponent) > LARGEST_POWER or abs(base) > LARGEST_POWER**2:
        raise ValueError(f"a power beyond {LARGEST_POWER}")
    value = base**exponent
    if not isinstance(value, int | float):
        raise ValueError("a root of a negative number")  # noqa: TRY004  # it is a number, and not one that is asked for
    return value


UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}


@tool(timeout=5)
def calculate(expression: Annotated[str, Field(max_length=500, pattern=r"^[-+(\d.][-+*/%().\s\d]*[\d)]$")]) -> float:
    "Calculate a sum: add, subtract, multiply and divide numbers, like (3 + 4) * 2.5."
    value = _value(ast.parse(expression.strip(), mode="eval").body)
    if not math.isfinite(value):
        raise ValueError("the result is not a finite number")
    return value


@tool(timeout=5)
def time_now(zone: str) -> dict[str, str]:
    "What time and date it is now in a time zone or a city, like Europe/Berlin, Tokyo or UTC."
    name = _zone(zone)
    now = datetime.now(ZoneInfo(name))
    return {"zone": name, "time": f"{now:%H:%M}", "date": f"{now:%A, %d %B %Y}", "utc_offset": f"{now:%z}"}


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            return UNARY[type(op)](_value(operand))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return BINARY[type(op)](_value(left), _value(right))
    raise ValueError(f"{ast.unparse(node)[:60]!r} is not arithmetic")


def _zone(asked: str) -> str:
    """An IANA zone by its name or by its city. Raises ValueError."""
    wanted = asked.strip().replace(" ", "_").casefold()
    zones = available_timezones()
    by_name = {zone.casefold(): zone for zone in sorted(zones)}
    by_city = {zone.rpartition("/")[2].casefold(): zone for zone in sorted(zones, reverse=True) if "/" in zone}
    found = by_name.get(wanted) or by_city.get(wanted)
    if found is None:
        raise ValueError(f"there is no time zone {asked[:60]!r}; name one like Europe/Berlin")
    return found
