"""What happened, what did it cost, how long did it take: the ledger's read side."""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from trunkline.contracts.codec import decode
from trunkline.contracts.errors import BadMessage, CallerMistake, NotFound
from trunkline.contracts.messages import Note
from trunkline_ledger import rendering
from trunkline_ledger.families import descent, families
from trunkline_ledger.rows import EventRow, ModelCallRow, RunRow, ToolCallRow
from trunkline_ledger.spend import By, spend
from trunkline_ledger.store import Store
from trunkline_ledger.tables import events, model_calls, runs, tool_calls
from trunkline_ledger.totals import totals
from trunkline_ledger.views import EventView, RunDetail, RunSummary, Spend, Totals
from trunkline_ledger.waterfall import waterfall

LARGEST_PAGE = 1000
DEEPEST = 20
SHOWN_MATCHES = 5
LONGEST_NOTE = 8192
"""Bytes."""
NOTE = "note"


class Queries:
    """Answers from one consistent view of the tables each."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def runs(
        self,
        *,
        limit: int = 50,
        before: int | None = None,
        agent: str | None = None,
        status: str | None = None,
        conversation: str | None = None,
        user: str | None = None,
        tenant: str | None = None,
        children: bool = True,
    ) -> tuple[RunSummary, ...]:
        """The newest runs first. `before` is the `sequence` of the last run of the page before.

        Without `children`, only runs that a user asked for.
        """
        asked = {"agent": agent, "status": status, "conversation": conversation, "user": user, "tenant": tenant}
        page = select(runs).where(*_equal(asked)).order_by(runs.c.first_sequence.desc()).limit(_page(limit))
        if before is not None:
            page = page.where(runs.c.first_sequence < before)
        if not children:
            page = page.where(runs.c.parent.is_(None))
        async with self._store.reading() as connection:
            found = [RunRow(**row) for row in (await connection.execute(page)).mappings()]
            family = await families(connection, [row.run for row in found])
        return tuple(rendering.summary(row, family[row.run]) for row in found)

    async def run(self, run: str, *, tenant: str | None = None) -> RunDetail:
        """The run whose id is, or begins with, `run`. Raises NotFound, and CallerMistake when several begin so."""
        async with self._store.reading() as connection:
            found = await _one(connection, run, tenant)
            family = (await families(connection, [found.run]))[found.run]
            return await _detail(connection, found, {row.run: row for row in family}, DEEPEST)

    async def events(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        kind: str | None = None,
        agent: str | None = None,
        run: str | None = None,
        after: int = 0,
        limit: int = 200,
        tenant: str | None = None,
        problems: bool = False,
    ) -> tuple[EventView, ...]:
        """In the order of the log, behind the sequence `after`. `agent` is of the event's run; `until` is not
        included. With `problems`, only what could not be read or believed.
        """
        page = select(events).where(events.c.sequence > after).order_by(events.c.sequence).limit(_page(limit))
        conditions: list[ColumnElement[bool]] = []
        conditions += [events.c.at >= since] if since is not None else []
        conditions += [events.c.at < until] if until is not None else []
        conditions += [events.c.kind == kind] if kind is not None else []
        conditions += [events.c.run == run] if run is not None else []
        conditions += [events.c.tenant == tenant] if tenant is not None else []
        conditions += [events.c.problem.is_not(None)] if problems else []
        if agent is not None:
            conditions.append(events.c.run.in_(select(runs.c.run).where(runs.c.agent == agent)))
        async with self._store.reading() as connection:
            found = (await connection.execute(page.where(*conditions))).mappings()
            return tuple(rendering.event(EventRow(**row)) for row in found)

    async def totals(
        self, *, since: datetime | None = None, until: datetime | None = None, tenant: str | None = None
    ) -> Totals:
        """Of the runs that began in that span; events, problems and gaps are the whole ledger's."""
        async with self._store.reading() as connection:
            return await totals(connection, since=since, until=until, tenant=tenant)

    async def spend(
        self,
        *,
        by: By = "agent",
        since: datetime | None = None,
        until: datetime | None = None,
        tenant: str | None = None,
        limit: int = 50,
    ) -> Spend:
        """Of the model calls that were begun in that span; `until` is not included. The dearest `limit` one by one."""
        async with self._store.reading() as connection:
            return await spend(connection, by=by, since=since, until=until, tenant=tenant, limit=_page(limit))


async def _one(connection: AsyncConnection, run: str, tenant: str | None) -> RunRow:
    query = select(runs).where(*_equal({"tenant": tenant}))
    exact = (await connection.execute(query.where(runs.c.run == run))).mappings().one_or_none()
    if exact is not None:
        return RunRow(**exact)
    # Not LIKE: SQLite's takes small letters for capital ones.
    begins = query.where(func.substr(runs.c.run, 1, len(run)) == run).order_by(runs.c.run).limit(SHOWN_MATCHES)
    matches = [RunRow(**row) for row in await _all(connection, begins)]
    if not run or not matches:
        raise NotFound(
            f"No run {run[:80]!r} is in the ledger.", "`trunkline runs` lists them; a new one may take a moment."
        )
    if len(matches) > 1:
        raise CallerMistake(
            f"Several runs begin with {run!r}: {', '.join(row.run for row in matches)}.", "Give more of the id."
        )
    return matches[0]


async def _detail(connection: AsyncConnection, row: RunRow, family: dict[str, RunRow], depth: int) -> RunDetail:
    bare = select(*(column for column in events.c if column.name != "body"))
    of_run = bare.where(events.c.run == row.run).order_by(events.c.sequence)
    mine = [EventRow(**found, body=b"") for found in await _all(connection, of_run)]
    models = [ModelCallRow(**found) for found in await _all(connection, _of_run(model_calls, row))]
    tools = [ToolCallRow(**found) for found in await _all(connection, _of_run(tool_calls, row))]
    models.sort(key=lambda call: (call.prompt_sequence or call.model_sequence or 0, call.attempt))
    tools.sort(key=lambda call: (call.call_sequence or call.result_sequence or 0, call.step))
    below = [child for child in family.values() if child.parent == row.run and child.tenant == row.tenant]
    left = {run: child for run, child in family.items() if run != row.run}
    children = [await _detail(connection, child, left, depth - 1) for child in below if depth > 0 and child.run in left]
    return RunDetail(
        summary=rendering.summary(row, descent(row, family)),
        steps=waterfall(mine, models, tools, await _notes(connection, row)),
        model_calls=tuple(rendering.model_call(call) for call in models),
        tool_calls=tuple(rendering.tool_call(call) for call in tools),
        children=tuple(children),
    )


async def _notes(connection: AsyncConnection, row: RunRow) -> dict[int, Note]:
    """What the run's notes say, by sequence; long ones are left out."""
    of_run = select(events.c.sequence, events.c.body).where(events.c.run == row.run, events.c.kind == NOTE)
    found: dict[int, Note] = {}
    for each in await _all(connection, of_run.where(events.c.size <= LONGEST_NOTE, events.c.problem.is_(None))):
        with contextlib.suppress(BadMessage):
            found[each["sequence"]] = decode(each["body"], Note)
    return found


def _of_run(table: Table, row: RunRow) -> Select[Any]:
    return select(table).where(table.c.run == row.run)


async def _all(connection: AsyncConnection, query: Select[Any]) -> Sequence[RowMapping]:
    rows: Sequence[RowMapping] = (await connection.execute(query)).mappings().all()
    return rows


def _equal(asked: Mapping[str, str | None]) -> list[ColumnElement[bool]]:
    return [runs.c[name] == value for name, value in asked.items() if value is not None]


def _page(limit: int) -> int:
    if limit < 1:
        raise CallerMistake(f"limit {limit} asks for nothing.", f"Give 1 to {LARGEST_PAGE}.")
    return min(limit, LARGEST_PAGE)
