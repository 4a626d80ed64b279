"""The tables as bytes, one line a row, in the order of their keys: for comparing two ledgers."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
from sqlalchemy import Column, ColumnElement, Text, select
from sqlalchemy.ext.asyncio import AsyncConnection

from trunkline_ledger.store import Store
from trunkline_ledger.tables import metadata

_AT_A_TIME = 1000


async def dump(store: Store) -> AsyncIterator[tuple[str, bytes]]:
    """Table name and row as JSON, every row of every table."""
    async with store.reading() as connection:
        for table in metadata.sorted_tables:
            query = select(table).order_by(*(_by_bytes(column, connection) for column in table.primary_key))
            async with connection.stream(query.execution_options(yield_per=_AT_A_TIME)) as rows:
                async for row in rows:
                    yield table.name, orjson.dumps(tuple(row), default=_spelt)


async def digests(store: Store) -> dict[str, str]:
    """SHA-256 of each table's rows: equal when and only when the rows are."""
    hashes = {table.name: hashlib.sha256() for table in metadata.sorted_tables}
    async for table, row in dump(store):
        hashes[table].update(row + b"\n")
    return {table: digest.hexdigest() for table, digest in hashes.items()}


def _by_bytes(column: Column[Any], connection: AsyncConnection) -> ColumnElement[Any]:
    """PostgreSQL sorts texts as its locale does, SQLite by their bytes."""
    if connection.dialect.name == "postgresql" and isinstance(column.type, Text):
        return column.collate("C")
    return column


def _spelt(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"a column holds {type(value).__name__}")
