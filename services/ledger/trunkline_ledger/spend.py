"""What was spent, by whom and on what: every way to split it adds up to the same total, to the picodollar.

A call belongs to the time when it was prompted. What a delegated run spends is its root's user's; what a model call
cost is split over the tools that it asked for, and what asked for none stands under the empty name, as does all that
has no name of the kind that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, RowMapping, Select, Subquery, and_, case, exists, func, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from trunkline.prices import Money
from trunkline_ledger.levers import levers_of
from trunkline_ledger.sums import HALVES, Conditions, as_money, counted, money, rows_of, summed
from trunkline_ledger.tables import asked_tools, model_calls, runs, savings
from trunkline_ledger.views import Spend, Spender, Spending

By = Literal["user", "conversation", "agent", "tool", "model", "route", "day", "lever"]
NOBODY = ""
_calls = model_calls.c
_unknown = (_calls.outcome != "open") & _calls.cost_known.is_(False)


async def spend(
    connection: AsyncConnection,
    *,
    by: By,
    since: datetime | None,
    until: datetime | None,
    tenant: str | None,
    limit: int,
) -> Spend:
    """`until` is not included. By `lever`, nothing is split: `levers` are always told."""
    spent = _within(_calls.spent_at, since, until, tenant)
    keyed = SOURCES[by](spent) if by != "lever" else None
    total = (await rows_of(connection, select(*_sums(_by_column(literal(NOBODY), spent)))))[0]
    shown = await rows_of(connection, _dearest(connection, keyed, by, limit)) if keyed is not None else ()
    number = len(shown)
    if keyed is not None and number == limit:
        number = (await connection.execute(select(func.count(keyed.c.key.distinct())))).scalar_one()
    spenders = tuple(Spender(key=row["key"], spent=_spending(row)) for row in shown)
    rest = as_money(total).pico - sum(as_money(row).pico for row in shown) if keyed is not None else 0
    levers = await levers_of(connection, _within(savings.c.at, since, until, tenant))
    return Spend(
        by=by,
        total=_spending(total),
        spenders=spenders,
        others=number - len(shown),
        rest=str(Money(rest)),
        saved=str(sum(levers.values(), Money())),
        levers=tuple(levers),
    )


def _within(
    at: ColumnElement[datetime], since: datetime | None, until: datetime | None, tenant: str | None
) -> Conditions:
    conditions: list[ColumnElement[bool]] = []
    conditions += [at >= since] if since is not None else []
    conditions += [at < until] if until is not None else []
    conditions += [runs.c.tenant == tenant] if tenant is not None else []
    return conditions


def _keyed(key: ColumnElement[str], cost: ColumnElement[int]) -> tuple[ColumnElement[Any], ...]:
    """The columns of all that is grouped by `key`."""
    opened = _calls.outcome == "open"
    return (
        func.coalesce(key, NOBODY).label("key"),
        cost.label("cost"),
        _unknown.label("unknown"),
        opened.label("open"),
        _calls.reserved.label("reserved"),
    )


def _by_column(key: ColumnElement[str], spent: Conditions) -> Subquery:
    of_call = select(*_keyed(key, _calls.cost)).join_from(model_calls, runs, runs.c.run == _calls.run)
    return of_call.where(*spent).subquery()


def _by_tool(spent: Conditions) -> Subquery:
    asked = and_(*(asked_tools.c[name] == _calls[name] for name in ("run", "step", "attempt")))
    of_call = select(*_keyed(literal(NOBODY), _calls.cost)).join_from(model_calls, runs, runs.c.run == _calls.run)
    of_tool = (
        select(*_keyed(asked_tools.c.tool, asked_tools.c.cost))
        .join_from(asked_tools, model_calls, asked)
        .join(runs, runs.c.run == _calls.run)
    )
    alone = ~exists(select(asked_tools.c.run).where(asked))
    return union_all(of_tool.where(*spent), of_call.where(alone, *spent)).subquery()


def _by_user(spent: Conditions) -> Subquery:
    spending = select(_calls.run).join_from(model_calls, runs, runs.c.run == _calls.run).where(*spent)
    line = (
        select(runs.c.run.label("leaf"), runs.c.parent, runs.c.tenant, runs.c.user)
        .where(runs.c.parent.is_not(None), runs.c.run.in_(spending))
        .cte("line", recursive=True)
    )
    # UNION, and not UNION ALL: it also ends when runs name each other as parents.
    line = line.union(
        select(line.c.leaf, runs.c.parent, runs.c.tenant, runs.c.user).where(
            runs.c.run == line.c.parent, runs.c.tenant == line.c.tenant
        )
    )
    roots = select(line.c.leaf, line.c.user).where(line.c.parent.is_(None)).subquery("roots")
    user = func.coalesce(roots.c.user, runs.c.user)
    of_call = (
        select(*_keyed(user, _calls.cost))
        .join_from(model_calls, runs, runs.c.run == _calls.run)
        .outerjoin(roots, roots.c.leaf == runs.c.run)
    )
    return of_call.where(*spent).subquery()


SOURCES: dict[By, Callable[[Conditions], Subquery]] = {
    "user": _by_user,
    "conversation": lambda spent: _by_column(runs.c.conversation, spent),
    "agent": lambda spent: _by_column(_calls.agent, spent),
    "tool": _by_tool,
    "model": lambda spent: _by_column(_calls.model, spent),
    "route": lambda spent: _by_column(runs.c.route_source, spent),
    "day": lambda spent: _by_column(_calls.day, spent),
}


def _sums(keyed: Subquery) -> tuple[ColumnElement[Any], ...]:
    columns = keyed.c
    return (
        func.count().label("calls"),
        counted(columns.unknown, "unknown"),
        counted(columns.open, "open"),
        *money(columns.cost),
        *money(case((columns.open, columns.reserved)), "held"),
    )


def _dearest(connection: AsyncConnection, keyed: Subquery, by: By, limit: int) -> Select[Any]:
    """Days are in their own order, the newest first; what costs the same is in the order of its name's bytes."""
    query = select(keyed.c.key, *_sums(keyed)).group_by(keyed.c.key).limit(limit)
    if by == "day":
        return query.order_by(keyed.c.key.desc())
    high, low = summed(keyed.c.cost // HALVES, ""), summed(keyed.c.cost % HALVES, "")
    key = keyed.c.key.collate("C" if connection.dialect.name == "postgresql" else "BINARY")
    return query.order_by((high.element + low.element // HALVES).desc(), (low.element % HALVES).desc(), key)


def _spending(row: RowMapping) -> Spending:
    return Spending(
        cost=str(as_money(row)),
        calls=row["calls"],
        unknown=int(row["unknown"]),
        open=int(row["open"]),
        held=str(as_money(row, "held")),
    )
