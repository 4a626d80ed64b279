"""Sums in the words that SQLite and PostgreSQL share. Money is exact up to 9.2 trillion dollars a sum.

SQLite adds up in 64 bits, in which picodollars reach 9.2 million dollars only. So amounts are added in two halves, the
millionths of a dollar and what is left over; a sum that does not fit even so is an error in either database, never a
wrong amount.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, RowMapping, Select, case, cast, func
from sqlalchemy.ext.asyncio import AsyncConnection

from trunkline.prices import Money

HALVES = 10**6
Conditions = Sequence[ColumnElement[bool]]


async def rows_of(connection: AsyncConnection, query: Select[Any]) -> Sequence[RowMapping]:
    rows: Sequence[RowMapping] = (await connection.execute(query)).mappings().all()
    return rows


def summed(column: ColumnElement[Any], name: str) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(column), 0), BigInteger).label(name)


def counted(condition: ColumnElement[bool], name: str) -> ColumnElement[int]:
    return summed(case((condition, 1), else_=0), name)


def money(column: ColumnElement[Any], name: str = "cost") -> tuple[ColumnElement[int], ...]:
    """The sum of an amount in picodollars, as two columns for `as_money`."""
    return summed(column // HALVES, f"{name}_high"), summed(column % HALVES, f"{name}_low")


def as_money(row: RowMapping, name: str = "cost") -> Money:
    return Money(int(row[f"{name}_high"]) * HALVES + int(row[f"{name}_low"]))
