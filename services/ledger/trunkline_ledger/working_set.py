"""The rows of the runs that a batch touches: loaded once, changed in memory, written back once."""

from collections.abc import Callable, Collection, Iterable
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Table, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from trunkline.contracts.codec import Event
from trunkline.prices import PriceBook
from trunkline_ledger import tables
from trunkline_ledger.project import Row, RunRows, project
from trunkline_ledger.rows import AskedToolRow, ModelCallRow, RunRow, SavingRow, ToolCallRow

_TABLES: dict[type[Row], Table] = {
    RunRow: tables.runs,
    ModelCallRow: tables.model_calls,
    AskedToolRow: tables.asked_tools,
    ToolCallRow: tables.tool_calls,
    SavingRow: tables.savings,
}
Key = str | tuple[Any, ...]
_KEYS: dict[type[Row], Callable[[Row], Key]] = {
    RunRow: attrgetter("run"),
    ModelCallRow: attrgetter("run", "step", "attempt"),
    AskedToolRow: attrgetter("run", "step", "attempt", "place"),
    ToolCallRow: attrgetter("run", "step"),
    SavingRow: attrgetter("run", "kind", "name", "step"),
}


class WorkingSet:
    """Applies events to the rows of some runs, all within one transaction."""

    def __init__(self, prices: PriceBook) -> None:
        self._prices = prices
        self._runs: dict[str, RunRows] = {}
        self._stored: dict[type[Row], set[Key]] = {kind: set() for kind in _TABLES}
        self._changed: dict[type[Row], dict[Key, Row]] = {kind: {} for kind in _TABLES}

    async def load(self, connection: AsyncConnection, runs: Collection[str]) -> None:
        for kind, table in _TABLES.items():
            for found in (await connection.execute(select(table).where(table.c.run.in_(runs)))).mappings():
                row = kind(**found)
                self._stored[kind].add(_KEYS[kind](row))
                self._of(row.run).put(row)

    def apply(self, event: Event) -> None:
        """Raises BadMessage for an event that cannot be believed; it has then changed nothing."""
        known = self._of(event.subject.run)
        for row in project(known, event, self._prices):
            known.put(row)
            kind = type(row)
            self._changed[kind][_KEYS[kind](row)] = row

    async def save(self, connection: AsyncConnection) -> None:
        for kind, table in _TABLES.items():
            stored, changed = self._stored[kind], self._changed[kind]
            new = [row for key, row in changed.items() if key not in stored]
            await insert_rows(connection, table, new)
            await _update(connection, table, [row for key, row in changed.items() if key in stored])

    def _of(self, run: str) -> RunRows:
        return self._runs.setdefault(run, RunRows())


async def insert_rows(connection: AsyncConnection, table: Table, rows: Iterable[msgspec.Struct]) -> None:
    if values := [msgspec.structs.asdict(row) for row in rows]:
        await connection.execute(insert(table), values)


async def _update(connection: AsyncConnection, table: Table, rows: list[Row]) -> None:
    if not rows:
        return
    # A bound parameter may not be named like a column that is set.
    keys = [column.name for column in table.primary_key]
    statement = update(table).where(*(table.c[name] == bindparam(f"key_{name}") for name in keys))
    values = [msgspec.structs.asdict(row) for row in rows]
    for value in values:
        value.update({f"key_{name}": value.pop(name) for name in keys})
    changed = [name for name in values[0] if not name.startswith("key_")]
    await connection.execute(statement.values({name: bindparam(name) for name in changed}), values)
