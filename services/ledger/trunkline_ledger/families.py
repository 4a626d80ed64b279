"""Runs and the runs that they delegated to. A user pays for the whole family."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from trunkline_ledger.rows import RunRow
from trunkline_ledger.tables import runs


async def families(connection: AsyncConnection, ids: Collection[str]) -> dict[str, list[RunRow]]:
    """Each run with all its descendants, in the order of the log. A parent in another tenant is not believed."""
    line = select(runs.c.run.label("root"), runs.c.run, runs.c.tenant).where(runs.c.run.in_(ids)).cte(recursive=True)
    # UNION, and not UNION ALL: it also ends when runs name each other as parents.
    line = line.union(
        select(line.c.root, runs.c.run, runs.c.tenant).where(
            runs.c.parent == line.c.run, runs.c.tenant == line.c.tenant
        )
    )
    query = select(line.c.root, runs).join(runs, runs.c.run == line.c.run).order_by(runs.c.first_sequence)
    found: dict[str, list[RunRow]] = defaultdict(list)
    for row in (await connection.execute(query)).mappings():
        columns = dict(row)
        found[columns.pop("root")].append(RunRow(**columns))
    return found


def descent(row: RunRow, family: Mapping[str, RunRow]) -> list[RunRow]:
    """The run and its descendants among `family`."""
    found = {row.run: row}
    waiting = [row]
    while waiting:
        parent = waiting.pop()
        for child in family.values():
            if child.parent == parent.run and child.run not in found:
                found[child.run] = child
                waiting.append(child)
    return list(found.values())
