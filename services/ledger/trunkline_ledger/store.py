"""The ledger's database: opened, prepared and closed in one place."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, event, inspect, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from trunkline.contracts.errors import InvalidSettings
from trunkline_ledger.tables import metadata, position

log = structlog.get_logger("trunkline.ledger")

SQLITE_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    # A power failure may take the last transactions and never half of one. Rows and position go together, so the
    # ledger then reads those events again.
    "PRAGMA synchronous = NORMAL",
    "PRAGMA busy_timeout = 10000",
    "PRAGMA cache_size = -65536",
    "PRAGMA temp_store = MEMORY",
)


class Store:
    """Transactions on the ledger's database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @property
    def url(self) -> str:
        return self._engine.url.render_as_string(hide_password=False)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: all or nothing."""
        async with self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """One consistent view: what is written meanwhile is not seen."""
        async with self._engine.connect() as connection:
            if self._engine.dialect.name == "sqlite":
                # The driver opens a transaction for writes only; without one every statement has its own view.
                await connection.exec_driver_sql("BEGIN")
            else:
                await connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[Store]:
    """The database at `url`, with its tables, until the block ends. Raises InvalidSettings."""
    engine = _engine(url)
    try:
        await _create_tables(engine)
        yield Store(engine)
    finally:
        await engine.dispose()


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite address; None for another database, or for one in memory."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    return Path(parsed.database)


def _engine(url: str) -> AsyncEngine:
    try:
        if (file := sqlite_file(url)) is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        engine = create_async_engine(url)
    except (SQLAlchemyError, ImportError, OSError) as error:
        raise _unusable(error) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    return engine


async def _create_tables(engine: AsyncEngine) -> None:
    try:
        async with engine.begin() as connection:
            if await connection.run_sync(_is_of_another_version):
                log.warning("the tables are of another version; reading the log again", action="tables_dropped")
                await connection.run_sync(metadata.drop_all)
            await connection.run_sync(metadata.create_all)
    except (SQLAlchemyError, OSError) as error:
        raise _unusable(error) from error


def _is_of_another_version(connection: Connection) -> bool:
    """Whether these are a ledger's tables with other columns than this version's; what stands in them stands on the
    log. Raises InvalidSettings for tables of somebody else, which bear the same names.
    """
    found = inspect(connection)
    there = set(found.get_table_names()).intersection(metadata.tables)
    columns = {name: {column["name"] for column in found.get_columns(name)} for name in there}
    if there and not columns.get(position.name, set()) >= {"stream", "created", "sequence"}:
        raise InvalidSettings(
            f"The database has tables that are not the ledger's: {', '.join(sorted(there))}.",
            "Give the ledger a database of its own.",
        )
    return bool(there) and columns != {name: set(table.columns.keys()) for name, table in metadata.tables.items()}


def _unusable(error: Exception) -> InvalidSettings:
    return InvalidSettings(
        f"The ledger's database cannot be opened: {error}.",
        "Give it as sqlite+aiosqlite:///<file> or postgresql+asyncpg://<server>/<name>.",
    )


def _prepare_sqlite(connection: Any, _: object) -> None:  # a driver's connection has no common type
    cursor = connection.cursor()
    for pragma in SQLITE_PRAGMAS:
        cursor.execute(pragma)
    cursor.close()
