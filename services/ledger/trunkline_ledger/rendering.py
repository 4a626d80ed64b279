"""Rows become views: what a reader sees instead of what a table needs."""

from collections.abc import Iterable

import msgspec
import orjson

from trunkline.prices import Money
from trunkline_ledger.rows import EventRow, ModelCallRow, RunRow, ToolCallRow
from trunkline_ledger.views import Amounts, EventView, ModelCallView, RunSummary, Stages, ToolCallView

COUNTED = (
    "model_calls",
    "lost_calls",
    "tool_calls",
    "failed_tool_calls",
    "takeovers",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
)
"""The fields of Amounts that are columns of a run under the same name, and add up."""


def amounts(runs: Iterable[RunRow]) -> Amounts:
    """What the runs used together."""
    rows = list(runs)
    return Amounts(
        **{name: sum(getattr(row, name) for row in rows) for name in COUNTED},
        cost=str(Money(sum(row.cost for row in rows))),
        cost_known=all(row.cost_known for row in rows),
        saved=str(Money(sum(row.saved for row in rows))),
    )


def summary(row: RunRow, family: Iterable[RunRow]) -> RunSummary:
    """`family` is the run and all that it delegated to."""
    shared = {name: getattr(row, name) for name in RunSummary.__struct_fields__ if hasattr(row, name)}
    shared |= {
        "sequence": row.first_sequence,
        "started_at": row.requested_at or row.opened_at,
        "own": amounts([row]),
        "total": amounts(family),
        "answer_cost": _dollars(row.answer_cost),
        "stages": Stages(**{name: getattr(row, name) for name in Stages.__struct_fields__}),
    }
    return RunSummary(**shared)


def model_call(row: ModelCallRow) -> ModelCallView:
    shared = {name: getattr(row, name) for name in ModelCallView.__struct_fields__}
    return ModelCallView(**shared | {"cost": _dollars(row.cost), "reserved": _dollars(row.reserved)})


def tool_call(row: ToolCallRow) -> ToolCallView:
    return ToolCallView(**{name: getattr(row, name) for name in ToolCallView.__struct_fields__})


def event(row: EventRow) -> EventView:
    return EventView(**msgspec.structs.asdict(row) | {"body": _body(row.body)})


def _dollars(pico: int | None) -> str | None:
    return None if pico is None else str(Money(pico))


def _body(raw: bytes) -> object:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode(errors="replace")
