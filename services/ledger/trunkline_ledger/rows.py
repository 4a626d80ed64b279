"""The rows as values: what the projection reads and writes. One class is one table, one field one column.

Times are the server's (`Event.at`); `*_ms` between two of them are differences of the server's times, the others
(`latency_ms`, `first_text_ms`, `duration_ms`, `cpu_ms`) are what a worker measured. Costs are picodollars.
"""

from datetime import datetime
from typing import Literal

import msgspec

RunStatus = Literal["running", "answered", "failed", "cancelled"]
CallOutcome = Literal["open", "returned", "retried", "failed", "lost", "unused"]
ToolStatus = Literal["called", "waiting", "started", "in_doubt", "done", "failed", "lost"]


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One stored message, whole. What cannot be read or believed bears its `problem`."""

    sequence: int
    subject: str
    tenant: str | None = None
    conversation: str | None = None
    run: str | None = None
    kind: str | None = None
    name: str | None = None
    step: str | None = None
    at: datetime
    size: int
    body: bytes
    problem: str | None = None


class GapRow(msgspec.Struct, frozen=True, kw_only=True):
    """Sequences that the log no longer has, `last` included; `found_at` is the time of the message behind them."""

    first: int
    last: int
    found_at: datetime


class ModelCallRow(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at one model call. `lost`: paid, as far as we know, and nothing came back. `retried`: it failed, and
    another attempt followed. `unused`: its reply came when another attempt's was on the log.

    `cost` is None while the call is open, and when nobody knows the price; `prices` is the version of the price table
    that it is by, its worker's when that recorded it. `source`: `cache` when no model was asked.

    `spent_at`: when it was prompted; when it came back, where no prompt stands on the log. `day` is its day in UTC.
    """

    run: str
    step: str
    attempt: int
    agent: str
    model: str
    asked_model: str = ""
    worker: str = ""
    outcome: CallOutcome = "open"
    paid_without_result: bool = False
    input_hash: str = ""
    reserved: int | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost: int | None = None
    cost_known: bool = False
    prices: str = ""
    source: str = ""
    spent_at: datetime
    day: str
    prompted_at: datetime | None = None
    returned_at: datetime | None = None
    elapsed_ms: float | None = None
    latency_ms: float | None = None
    first_text_ms: float | None = None
    error: str | None = None
    prompt_sequence: int | None = None
    model_sequence: int | None = None


class AskedToolRow(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that a model call asked for, as the one at `place`, with its part of what the call cost."""

    run: str
    step: str
    attempt: int
    place: int
    tool: str
    cost: int | None = None


class SavingRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was not spent. `kind`, `name` and `step` are those of the message that says so; `cost` None: nobody knows
    how much, `tokens` is then an estimate of what was left out.
    """

    run: str
    kind: str
    name: str
    step: str
    lever: str
    cost: int | None = None
    tokens: int = 0
    at: datetime


class ToolCallRow(msgspec.Struct, frozen=True, kw_only=True):
    """One call of one tool. `waiting`: for a person's approval; `in_doubt`: for one who knows what became of it.
    `lost`: the run ended without a result; with `started_at`, its effect is in doubt.
    """

    run: str
    step: str
    tool: str
    agent: str = ""
    turn: int = 0
    status: ToolStatus = "called"
    called_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    elapsed_ms: float | None = None
    queue_ms: float | None = None
    duration_ms: float | None = None
    cpu_ms: float | None = None
    max_rss_kib: int = 0
    output_bytes: int = 0
    isolation: str = ""
    executor: str = ""
    verdict: str = ""
    decided_by: str = ""
    error: str | None = None
    call_sequence: int | None = None
    started_sequence: int | None = None
    approval_sequence: int | None = None
    decision_sequence: int | None = None
    result_sequence: int | None = None


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run, without its children. `unpriced` counts the paid calls whose cost nobody knows.

    `source`: `cache` when its answer is another run's, which `saved` what that cost. `answer_cost` and `reusable` are
    what its answer says. `budget`: the gravest that a limit did to it, `budget_warning`, `cheaper` or `refused`.
    `correction`: who should have answered, by the newest feedback.

    Stages: `route_ms` request → task, `queue_ms` task → first prompt, `model_ms` and `tool_ms` sums over the calls
    (parallel ones count each), `total_ms` request → answer.
    """

    run: str
    tenant: str
    conversation: str
    user: str = ""
    question: str = ""
    agent: str = ""
    status: RunStatus = "running"
    parent: str | None = None
    parent_step: str | None = None
    first_sequence: int
    last_sequence: int
    opened_at: datetime
    last_at: datetime
    requested_at: datetime | None = None
    tasked_at: datetime | None = None
    begun_at: datetime | None = None
    answered_at: datetime | None = None
    events: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    failed_tool_calls: int = 0
    takeovers: int = 0
    lost_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost: int = 0
    unpriced: int = 0
    failure: str | None = None
    route_confidence: float | None = None
    route_source: str | None = None
    tier: str = ""
    cancelled_by: str | None = None
    verdict: int | None = None
    correction: str | None = None
    source: str = ""
    budget: str = ""
    reusable: bool = False
    answer_cost: int | None = None
    saved: int = 0
    route_ms: float | None = None
    queue_ms: float | None = None
    model_ms: float = 0.0
    tool_ms: float = 0.0
    total_ms: float | None = None

    @property
    def cost_known(self) -> bool:
        return self.unpriced == 0

    @property
    def ended(self) -> bool:
        return self.answered_at is not None
