"""The part of the ledger's answers that is shown. What a newer one adds is ignored, what it leaves out is empty."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from trunkline.contracts.errors import BadMessage

T = TypeVar("T")


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    model_calls: int = 0
    lost_calls: int = 0
    tool_calls: int = 0
    failed_tool_calls: int = 0
    takeovers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: str = "0"
    cost_known: bool = True
    saved: str = "0"


class Stages(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds."""

    total_ms: float | None = None


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    run: str
    started_at: datetime
    conversation: str = ""
    user: str = ""
    question: str = ""
    agent: str = ""
    status: str = ""
    parent: str | None = None
    parent_step: str | None = None
    answered_at: datetime | None = None
    total: Amounts = Amounts()
    stages: Stages = Stages()
    failure: str | None = None
    route_confidence: float | None = None
    route_source: str | None = None
    cancelled_by: str | None = None
    source: str = ""
    budget: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    sequence: int
    kind: str
    name: str
    step: str
    at: datetime
    duration_ms: float | None = None
    ended_by: int | None = None
    problem: str | None = None
    what: str = ""
    data: dict[str, Any] = {}


class ModelCall(msgspec.Struct, frozen=True, kw_only=True):
    step: str
    attempt: int = 1
    model: str = ""
    outcome: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: str | None = None
    cost_known: bool = False
    source: str = ""
    error: str | None = None


class ToolCallView(msgspec.Struct, frozen=True, kw_only=True):
    step: str
    tool: str = ""
    status: str = ""
    duration_ms: float | None = None
    queue_ms: float | None = None
    isolation: str = ""
    verdict: str = ""
    decided_by: str = ""
    error: str | None = None


class RunDetail(msgspec.Struct, frozen=True, kw_only=True):
    summary: RunSummary
    steps: tuple[Step, ...] = ()
    model_calls: tuple[ModelCall, ...] = ()
    tool_calls: tuple[ToolCallView, ...] = ()
    children: tuple[RunDetail, ...] = ()


class AgentTotals(msgspec.Struct, frozen=True, kw_only=True):
    agent: str
    runs: int = 0
    answered: int = 0
    failed: int = 0
    amounts: Amounts = Amounts()


class ModelTotals(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    calls: int = 0
    failed: int = 0
    lost: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: str = "0"
    cost_known: bool = True


class ToolTotals(msgspec.Struct, frozen=True, kw_only=True):
    tool: str
    calls: int = 0
    failed: int = 0
    lost: int = 0
    mean_ms: float | None = None


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    count: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None


class Lever(msgspec.Struct, frozen=True, kw_only=True):
    lever: str
    times: int = 0
    saved: str = "0"
    unknown: int = 0
    tokens: int = 0


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    sequence: int = 0
    events: int = 0
    problems: int = 0
    gaps: int = 0
    runs: int = 0
    by_status: dict[str, int] = {}
    amounts: Amounts = Amounts()
    agents: tuple[AgentTotals, ...] = ()
    models: tuple[ModelTotals, ...] = ()
    tools: tuple[ToolTotals, ...] = ()
    levers: tuple[Lever, ...] = ()
    stages: dict[str, Percentiles] = {}


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    cost: str = "0"
    calls: int = 0
    unknown: int = 0
    open: int = 0
    held: str = "0"


class Spender(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    spent: Spending = Spending()


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    by: str
    total: Spending = Spending()
    spenders: tuple[Spender, ...] = ()
    others: int = 0
    rest: str = "0"
    saved: str = "0"
    levers: tuple[Lever, ...] = ()


def read(value: Any, type_: type[T]) -> T:  # any JSON value
    """Raises BadMessage."""
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise BadMessage(
            f"The ledger's answer cannot be read: {error}.", "Is it of another version? `trunkline status` shows it."
        ) from error
