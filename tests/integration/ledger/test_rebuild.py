"""Drop the ledger, read the log again: the same rows and the same cents."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace as changed
from sqlalchemy.ext.asyncio import create_async_engine

from tests.integration.ledger.ledgers import following, read_into, rows_in, url_of
from tests.unit.ledger.story import GPT, MODEL_COST, Story, everything, model
from trunkline.contracts.errors import CallerMistake, InvalidSettings
from trunkline.prices import PriceBook
from trunkline.prices.rates import FREE
from trunkline_ledger.ingest import Ingest
from trunkline_ledger.queries import Queries
from trunkline_ledger.rebuild import Log, compare, rebuild, replace
from trunkline_ledger.store import open_store

STORY = everything()
LOG = Log(STORY.stream, following(STORY.messages, batch=9))


async def test_a_rebuilt_ledger_has_the_same_rows(url: str, tmp_path: Path) -> None:
    await read_into(url, STORY)
    fresh = url_of(tmp_path / "fresh.db")
    steps: list[tuple[int, int]] = []
    reached = await rebuild(fresh, LOG, PriceBook(), progress=lambda done, last: steps.append((done, last)))
    assert reached == len(STORY.messages)
    assert steps[0] == (9, reached)
    assert steps[-1] == (reached, reached)
    assert await rows_in(fresh) == await rows_in(url)
    assert (await compare(url, fresh)).same


async def test_what_was_recorded_costs_the_same_after_the_prices_changed(url: str, tmp_path: Path) -> None:
    """And calls that nobody priced when they were made follow the prices of who reads them."""
    story = Story()
    story.tell("model.math.1", changed(model(), cost="0.25", prices="of then"), run="recorded")
    story.tell("model.math.1", model(), run="unrecorded")
    log = Log(story.stream, following(story.messages))
    costs: list[list[str]] = []
    for name, prices in (("old", PriceBook()), ("same", PriceBook()), ("new", PriceBook({GPT: FREE}))):
        fresh = url_of(tmp_path / f"{name}.db")
        await rebuild(fresh, log, prices)
        async with open_store(fresh) as store:
            found = [await Queries(store).run(run) for run in ("recorded", "unrecorded")]
        costs.append([run.summary.own.cost for run in found])
        assert [run.model_calls[0].prices for run in found] == ["of then", prices.version]
    assert costs == [["0.25", MODEL_COST], ["0.25", MODEL_COST], ["0.25", "0"]]
    assert (await compare(url_of(tmp_path / "old.db"), url_of(tmp_path / "same.db"))).same


async def test_a_ledger_of_an_earlier_version_reads_the_log_again(url: str, tmp_path: Path) -> None:
    """It cannot know what the columns that it has not should say."""
    changes = (
        "ALTER TABLE model_calls DROP COLUMN prices",
        "DROP TABLE savings",
        "ALTER TABLE runs ADD COLUMN mood TEXT",
    )
    fresh = url_of(tmp_path / "fresh.db")
    await rebuild(fresh, LOG, PriceBook())
    for change in changes:
        await read_into(url, STORY, STORY.messages[:5])
        async with open_store(url) as store, store.writing() as connection:
            await connection.exec_driver_sql(change)
        assert await read_into(url, STORY) == len(STORY.messages)
        assert await rows_in(url) == await rows_in(fresh)


async def test_somebody_elses_tables_are_left_alone(url: str) -> None:
    """A team's own table of runs, in a database that the ledger was given by mistake."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE runs (id INTEGER, miles INTEGER)")
        await connection.exec_driver_sql("INSERT INTO runs VALUES (1, 26)")
    with pytest.raises(InvalidSettings, match="not the ledger's: runs"):
        await read_into(url, STORY)
    async with engine.connect() as connection:
        assert (await connection.exec_driver_sql("SELECT miles FROM runs")).scalars().all() == [26]
    await engine.dispose()


async def test_a_changed_row_is_found(url: str, tmp_path: Path) -> None:
    await read_into(url, STORY)
    fresh = url_of(tmp_path / "fresh.db")
    await rebuild(fresh, LOG, PriceBook())
    async with open_store(url) as store, store.writing() as connection:
        await connection.exec_driver_sql("UPDATE runs SET cost = cost + 1 WHERE run = 'run-a'")
    assert (await compare(url, fresh)).differing == ("runs",)


async def test_a_rebuild_takes_the_place_of_a_spoilt_ledger(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    await read_into(url_of(file), STORY)
    whole = await rows_in(url_of(file))
    async with open_store(url_of(file)) as store, store.writing() as connection:
        await connection.exec_driver_sql("DELETE FROM runs")
    await replace(file, LOG, PriceBook())
    assert await rows_in(url_of(file)) == whole
    assert await asyncio.to_thread(lambda: [path.name for path in tmp_path.iterdir()]) == ["ledger.db"]


async def test_a_rebuild_that_was_interrupted_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    async with open_store(url_of(tmp_path / "ledger.db.rebuilt")) as store:
        await Ingest(store, STORY.stream, PriceBook()).write(STORY.messages[:5])
    assert await replace(file, LOG, PriceBook()) == len(STORY.messages)
    await read_into(url_of(file), STORY)


async def test_a_ledger_that_is_open_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    await read_into(url_of(file), STORY)
    before = await rows_in(url_of(file))
    async with open_store(url_of(file)) as store, store.reading():
        with pytest.raises(CallerMistake, match="open in another process"):
            await replace(file, LOG, PriceBook())
    assert await rows_in(url_of(file)) == before


async def test_a_rebuild_does_not_write_over_rows(url: str) -> None:
    await read_into(url, STORY)
    with pytest.raises(CallerMistake, match="rows already"):
        await rebuild(url, LOG, PriceBook())
