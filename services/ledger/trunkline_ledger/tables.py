"""The ledger's tables. Everything in them follows from the log; dropping them loses nothing.

Column types are the ones that SQLite and PostgreSQL both keep exactly: 64-bit integers for money and counts,
microseconds of UTC for times.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)

metadata = MetaData()


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime in UTC. SQLite has no time zones, so there it is stored without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; the ledger stores aware times only.")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy's signature
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _text(name: str, *, key: bool = False, null: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=key, nullable=null)


def _number(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=null)


def _milliseconds(name: str, *, null: bool = True) -> Column[float]:
    return Column(name, Float(53), nullable=null)


def _time(name: str, *, null: bool = True) -> Column[datetime]:
    return Column(name, UtcTime, nullable=null)


def _sequence_key(name: str) -> Column[int]:
    # SQLite's row id is an INTEGER key; any other spelling costs a second index.
    return Column(name, BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False)


position = Table(
    "position",
    metadata,
    _text("stream", key=True),
    _time("created", null=False),
    _number("sequence"),
    _text("prices"),
)

gaps = Table(
    "gaps",
    metadata,
    _sequence_key("first"),
    _number("last"),
    _time("found_at", null=False),
)

events = Table(
    "events",
    metadata,
    _sequence_key("sequence"),
    _text("subject"),
    *(_text(name, null=True) for name in ("tenant", "conversation", "run", "kind", "name", "step")),
    _time("at", null=False),
    _number("size"),
    Column("body", LargeBinary, nullable=False),
    _text("problem", null=True),
    Index("events_by_run", "run", "sequence"),
    Index("events_by_time", "at"),
)

runs = Table(
    "runs",
    metadata,
    _text("run", key=True),
    *(_text(name) for name in ("tenant", "conversation", "user", "question", "agent", "status")),
    *(_text(name, null=True) for name in ("parent", "parent_step")),
    *(_number(name) for name in ("first_sequence", "last_sequence")),
    *(_time(name, null=False) for name in ("opened_at", "last_at")),
    *(_time(name) for name in ("requested_at", "tasked_at", "begun_at", "answered_at")),
    *(_number(name) for name in ("events", "model_calls", "tool_calls", "failed_tool_calls", "takeovers")),
    *(_number(name) for name in ("lost_calls", "input_tokens", "output_tokens")),
    *(_number(name) for name in ("cache_read_tokens", "cache_write_tokens", "cost", "unpriced")),
    _text("failure", null=True),
    Column("route_confidence", Float(53)),
    _text("route_source", null=True),
    _text("tier"),
    *(_text(name, null=True) for name in ("cancelled_by", "correction")),
    _number("verdict", null=True),
    *(_text(name) for name in ("source", "budget")),
    Column("reusable", Boolean, nullable=False),
    _number("answer_cost", null=True),
    _number("saved"),
    *(_milliseconds(name) for name in ("route_ms", "queue_ms", "total_ms")),
    *(_milliseconds(name, null=False) for name in ("model_ms", "tool_ms")),
    Index("runs_by_sequence", "first_sequence"),
    Index("runs_by_parent", "parent"),
    Index("runs_by_conversation", "conversation"),
)

model_calls = Table(
    "model_calls",
    metadata,
    _text("run", key=True),
    _text("step", key=True),
    Column("attempt", BigInteger, primary_key=True, autoincrement=False),
    *(_text(name) for name in ("agent", "model", "asked_model", "worker", "outcome")),
    Column("paid_without_result", Boolean, nullable=False),
    _text("input_hash"),
    _number("reserved", null=True),
    *(_number(name) for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")),
    _number("cost", null=True),
    Column("cost_known", Boolean, nullable=False),
    _text("prices"),
    _text("source"),
    _time("spent_at", null=False),
    _text("day"),
    *(_time(name) for name in ("prompted_at", "returned_at")),
    *(_milliseconds(name) for name in ("elapsed_ms", "latency_ms", "first_text_ms")),
    _text("error", null=True),
    *(_number(name, null=True) for name in ("prompt_sequence", "model_sequence")),
    Index("model_calls_by_time", "spent_at"),
)

asked_tools = Table(
    "asked_tools",
    metadata,
    _text("run", key=True),
    _text("step", key=True),
    *(Column(name, BigInteger, primary_key=True, autoincrement=False) for name in ("attempt", "place")),
    _text("tool"),
    _number("cost", null=True),
)

savings = Table(
    "savings",
    metadata,
    *(_text(name, key=True) for name in ("run", "kind", "name", "step")),
    _text("lever"),
    _number("cost", null=True),
    _number("tokens"),
    _time("at", null=False),
    Index("savings_by_time", "at"),
)

tool_calls = Table(
    "tool_calls",
    metadata,
    _text("run", key=True),
    _text("step", key=True),
    *(_text(name) for name in ("tool", "agent")),
    _number("turn"),
    _text("status"),
    *(_time(name) for name in ("called_at", "started_at", "finished_at")),
    *(_milliseconds(name) for name in ("elapsed_ms", "queue_ms", "duration_ms", "cpu_ms")),
    *(_number(name) for name in ("max_rss_kib", "output_bytes")),
    *(_text(name) for name in ("isolation", "executor", "verdict", "decided_by")),
    _text("error", null=True),
    *(_number(name, null=True) for name in ("call_sequence", "started_sequence", "approval_sequence")),
    *(_number(name, null=True) for name in ("decision_sequence", "result_sequence")),
)
