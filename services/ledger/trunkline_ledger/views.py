"""What the ledger answers. Frozen, ready for JSON; money is a string of US dollars, times are UTC, durations are ms.

`cost_known` false: at least one paid call has a price that nobody knows, and `cost` is only the known part.
"""

from datetime import datetime
from typing import Any

import msgspec


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """What something used and cost, and what it `saved`, as far as that is known. `input_tokens` includes the cached
    ones; a lost call is paid for nothing.
    """

    model_calls: int = 0
    lost_calls: int = 0
    tool_calls: int = 0
    failed_tool_calls: int = 0
    takeovers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost: str = "0"
    cost_known: bool = True
    saved: str = "0"


class Stages(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time went: to be routed, until a worker began, in model calls, in tool calls, altogether."""

    route_ms: float | None = None
    queue_ms: float | None = None
    model_ms: float = 0.0
    tool_ms: float = 0.0
    total_ms: float | None = None


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `own` is what it used itself; `total` includes the runs it delegated to, and theirs; `answer_cost` is
    what its answer says of that.

    `source`: `cache` when its answer is another run's. `budget`: what a limit did to it: `budget_warning`, `cheaper` or
    `refused`. `correction`: who should have answered, as feedback says.

    `sequence` is the place of its first event on the log: a page of runs goes on before the last one's.
    """

    run: str
    sequence: int
    tenant: str
    conversation: str
    user: str
    question: str
    agent: str
    status: str
    parent: str | None
    parent_step: str | None
    started_at: datetime
    answered_at: datetime | None
    last_at: datetime
    events: int
    own: Amounts
    total: Amounts
    stages: Stages
    failure: str | None
    route_confidence: float | None
    route_source: str | None
    tier: str
    cancelled_by: str | None
    verdict: int | None
    correction: str | None = None
    source: str = ""
    reusable: bool = False
    answer_cost: str | None = None
    budget: str = ""


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """One bar of the waterfall. `offset_ms` is from the run's first event; `duration_ms` is of what the event opens:
    a task waits for its first prompt, a prompt for its model, a call or a started for its result, an approval for
    its decision. It is None for what opens nothing and for what has not come to its end. `ended_by` is a sequence.
    A note bears `what` it says, with its `data`.
    """

    sequence: int
    kind: str
    name: str
    step: str
    at: datetime
    offset_ms: float
    duration_ms: float | None = None
    ended_by: int | None = None
    size: int = 0
    problem: str | None = None
    what: str = ""
    data: dict[str, Any] = {}


class ModelCallView(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at one model call; `lost` when it was paid and nothing came back, `unused` when too late. `source`:
    `cache` when no model was asked.
    """

    step: str
    attempt: int
    agent: str
    model: str
    worker: str
    outcome: str
    paid_without_result: bool
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost: str | None
    cost_known: bool
    reserved: str | None = None
    prices: str
    source: str = ""
    elapsed_ms: float | None
    latency_ms: float | None
    first_text_ms: float | None
    error: str | None


class ToolCallView(msgspec.Struct, frozen=True, kw_only=True):
    """One tool call; `lost` when its run ended without a result."""

    step: str
    tool: str
    agent: str
    turn: int
    status: str
    elapsed_ms: float | None
    queue_ms: float | None
    duration_ms: float | None
    cpu_ms: float | None
    max_rss_kib: int
    output_bytes: int
    isolation: str
    executor: str
    verdict: str
    decided_by: str
    error: str | None


class RunDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A run with all its steps; `children` are the runs it delegated to, each with its own."""

    summary: RunSummary
    steps: tuple[StepView, ...] = ()
    model_calls: tuple[ModelCallView, ...] = ()
    tool_calls: tuple[ToolCallView, ...] = ()
    children: tuple["RunDetail", ...] = ()


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the log. `body` is its JSON, or its text when it is not JSON."""

    sequence: int
    subject: str
    kind: str | None
    name: str | None
    step: str | None
    tenant: str | None
    conversation: str | None
    run: str | None
    at: datetime
    size: int
    body: Any
    problem: str | None


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """By nearest rank: half, and 95 of 100, took at most this long."""

    count: int
    p50_ms: float | None
    p95_ms: float | None


class AgentTotals(msgspec.Struct, frozen=True, kw_only=True):
    """All runs of one agent, each without its children."""

    agent: str
    runs: int
    answered: int
    failed: int
    amounts: Amounts


class ModelTotals(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    calls: int
    failed: int
    lost: int
    input_tokens: int
    output_tokens: int
    cost: str
    cost_known: bool


class ToolTotals(msgspec.Struct, frozen=True, kw_only=True):
    tool: str
    calls: int
    failed: int
    lost: int
    mean_ms: float | None


class Lever(msgspec.Struct, frozen=True, kw_only=True):
    """What one means of saving did. `unknown` counts the `times` when nobody knows how much it saved; `tokens` is an
    estimate of those that were not sent.
    """

    lever: str
    times: int
    saved: str
    unknown: int
    tokens: int


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The whole ledger, or what began in a span of time. `gaps` counts places where the log has lost messages."""

    sequence: int
    events: int
    problems: int
    gaps: int
    runs: int
    by_status: dict[str, int]
    amounts: Amounts
    agents: tuple[AgentTotals, ...]
    models: tuple[ModelTotals, ...]
    tools: tuple[ToolTotals, ...]
    stages: dict[str, Percentiles]
    levers: tuple[Lever, ...] = ()


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What model calls cost. `unknown` of them have a cost that nobody knows, which is not in `cost`. `open` ones are
    not over; `held` is the most that they may cost, where that is known.
    """

    cost: str = "0"
    calls: int = 0
    unknown: int = 0
    open: int = 0
    held: str = "0"


class Spender(msgspec.Struct, frozen=True, kw_only=True):
    """One user, agent, day, …, named by `key`, which is empty for what has none."""

    key: str
    spent: Spending


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    """The model calls that were begun in a span of time: altogether, and by spenders, the dearest first.

    `spenders` and `rest` add up to `total`; `others` counts the spenders that `rest` is of.
    """

    by: str
    total: Spending
    spenders: tuple[Spender, ...]
    others: int
    rest: str
    saved: str
    levers: tuple[Lever, ...]
