"""Sums and percentiles, computed by the database in the words that SQLite and PostgreSQL share."""

import math
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, RowMapping, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from trunkline_ledger.levers import levers_of
from trunkline_ledger.rendering import COUNTED
from trunkline_ledger.sums import Conditions, as_money, counted, money, rows_of, summed
from trunkline_ledger.tables import events, gaps, model_calls, position, runs, tool_calls
from trunkline_ledger.views import AgentTotals, Amounts, ModelTotals, Percentiles, ToolTotals, Totals

STAGES = ("route", "queue", "model", "tool", "total")


async def totals(
    connection: AsyncConnection, *, since: datetime | None, until: datetime | None, tenant: str | None
) -> Totals:
    conditions: list[ColumnElement[bool]] = []
    conditions += [runs.c.opened_at >= since] if since is not None else []
    conditions += [runs.c.opened_at < until] if until is not None else []
    conditions += [runs.c.tenant == tenant] if tenant is not None else []
    by_status = {row["status"]: row["runs"] for row in await rows_of(connection, _by_status(conditions))}
    whole = (await rows_of(connection, select(*_amounts()).where(*conditions)))[0]
    log = (await rows_of(connection, _log()))[0]
    return Totals(
        sequence=log["sequence"] or 0,
        events=log["events"],
        problems=log["problems"],
        gaps=log["gaps"],
        runs=sum(by_status.values()),
        by_status=by_status,
        amounts=_as_amounts(whole),
        agents=await _agents(connection, conditions),
        models=await _models(connection, conditions),
        tools=await _tools(connection, conditions),
        stages={stage: await _percentiles(connection, runs.c[f"{stage}_ms"], conditions) for stage in STAGES},
        levers=tuple(await levers_of(connection, conditions)),
    )


def _log() -> Select[Any]:
    problems = select(func.count()).select_from(events).where(events.c.problem.is_not(None))
    return select(
        select(func.max(position.c.sequence)).scalar_subquery().label("sequence"),
        select(func.count()).select_from(events).scalar_subquery().label("events"),
        problems.scalar_subquery().label("problems"),
        select(func.count()).select_from(gaps).scalar_subquery().label("gaps"),
    )


def _by_status(conditions: Conditions) -> Select[Any]:
    counted = select(runs.c.status, func.count().label("runs")).where(*conditions)
    return counted.group_by(runs.c.status).order_by(runs.c.status)


def _amounts() -> tuple[ColumnElement[Any], ...]:
    return (
        *(summed(runs.c[name], name) for name in COUNTED),
        *money(runs.c.cost),
        *money(runs.c.saved, "saved"),
        summed(runs.c.unpriced, "unpriced"),
    )


def _as_amounts(row: RowMapping) -> Amounts:
    same = {name: int(row[name]) for name in COUNTED}
    saved = str(as_money(row, "saved"))
    return Amounts(**same, cost=str(as_money(row)), cost_known=row["unpriced"] == 0, saved=saved)


async def _agents(connection: AsyncConnection, conditions: Conditions) -> tuple[AgentTotals, ...]:
    statuses = [counted(runs.c.status == status, status) for status in ("answered", "failed")]
    query = select(runs.c.agent, func.count().label("runs"), *statuses, *_amounts()).where(*conditions)
    return tuple(
        AgentTotals(
            agent=row["agent"],
            runs=row["runs"],
            answered=int(row["answered"]),
            failed=int(row["failed"]),
            amounts=_as_amounts(row),
        )
        for row in await rows_of(connection, query.group_by(runs.c.agent).order_by(runs.c.agent))
    )


async def _models(connection: AsyncConnection, conditions: Conditions) -> tuple[ModelTotals, ...]:
    calls = model_calls.c
    query = (
        select(
            calls.model,
            func.count().label("calls"),
            counted(calls.outcome.in_(("failed", "retried")), "failed"),
            counted(calls.outcome == "lost", "lost"),
            counted((calls.outcome != "open") & calls.cost_known.is_(False), "unpriced"),
            summed(calls.input_tokens, "input_tokens"),
            summed(calls.output_tokens, "output_tokens"),
            *money(calls.cost),
        )
        .join(runs, runs.c.run == calls.run)
        .where(*conditions)
    )
    return tuple(
        ModelTotals(
            model=row["model"],
            calls=row["calls"],
            failed=int(row["failed"]),
            lost=int(row["lost"]),
            input_tokens=int(row["input_tokens"]),
            output_tokens=int(row["output_tokens"]),
            cost=str(as_money(row)),
            cost_known=row["unpriced"] == 0,
        )
        for row in await rows_of(connection, query.group_by(calls.model).order_by(calls.model))
    )


async def _tools(connection: AsyncConnection, conditions: Conditions) -> tuple[ToolTotals, ...]:
    calls = tool_calls.c
    query = (
        select(
            calls.tool,
            func.count().label("calls"),
            counted(calls.status == "failed", "failed"),
            counted(calls.status == "lost", "lost"),
            func.avg(calls.elapsed_ms).label("mean_ms"),
        )
        .join(runs, runs.c.run == calls.run)
        .where(*conditions)
    )
    return tuple(
        ToolTotals(
            tool=row["tool"],
            calls=row["calls"],
            failed=int(row["failed"]),
            lost=int(row["lost"]),
            mean_ms=None if row["mean_ms"] is None else round(row["mean_ms"], 3),
        )
        for row in await rows_of(connection, query.group_by(calls.tool).order_by(calls.tool))
    )


async def _percentiles(connection: AsyncConnection, column: Column[Any], conditions: Conditions) -> Percentiles:
    """Of the runs that passed the stage: one without a model call says nothing about models."""
    measured = select(column).where(*conditions, column > 0 if not column.nullable else column.is_not(None))
    count = (await connection.execute(select(func.count()).select_from(measured.subquery()))).scalar_one()

    async def at(share: float) -> float | None:
        rank = max(0, math.ceil(share * count) - 1)
        return (await connection.execute(measured.order_by(column).offset(rank).limit(1))).scalar_one_or_none()

    return Percentiles(count=count, p50_ms=await at(0.50), p95_ms=await at(0.95))
