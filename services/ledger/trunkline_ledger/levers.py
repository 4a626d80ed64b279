"""What each means of saving has saved."""

from __future__ import annotations

from sqlalchemy import RowMapping, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from trunkline.prices import Money
from trunkline_ledger.model_calls import CACHE
from trunkline_ledger.savings import OF_ANSWERS
from trunkline_ledger.sums import Conditions, as_money, counted, money, rows_of, summed
from trunkline_ledger.tables import runs, savings
from trunkline_ledger.views import Lever


async def levers_of(connection: AsyncConnection, conditions: Conditions) -> dict[Lever, Money]:
    """With what each has saved, in the order of their names. `conditions` are on the savings and their runs."""
    saved = savings.c
    columns = (
        func.count().label("times"),
        counted(saved.cost.is_(None), "unknown"),
        summed(saved.tokens, "tokens"),
        *money(saved.cost, "saved"),
    )
    given = or_(saved.lever.not_in(OF_ANSWERS), runs.c.source == CACHE)
    query = select(saved.lever, *columns).join(runs, runs.c.run == saved.run).where(given, *conditions)
    found = sorted(await rows_of(connection, query.group_by(saved.lever)), key=lambda row: str(row["lever"]))
    return {_lever(row): as_money(row, "saved") for row in found}


def _lever(row: RowMapping) -> Lever:
    return Lever(
        lever=row["lever"],
        times=row["times"],
        saved=str(as_money(row, "saved")),
        unknown=int(row["unknown"]),
        tokens=int(row["tokens"]),
    )
