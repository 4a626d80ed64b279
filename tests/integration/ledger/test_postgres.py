"""The same ledger on a real PostgreSQL server."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from tests.integration.ledger.ledgers import read_into, rows_in
from tests.integration.ledger.postgres_server import postgres_server
from tests.unit.ledger.story import batches, everything, one_tool_run
from trunkline.contracts.errors import CallerMistake, NotFound
from trunkline.prices import PriceBook
from trunkline_ledger.ingest import Displaced, Ingest
from trunkline_ledger.queries import Queries
from trunkline_ledger.rebuild import compare
from trunkline_ledger.store import open_store
from trunkline_ledger.tables import metadata

STORY = everything()
one_tool_run(STORY, "Run-B")  # which a locale puts behind run-a, and its bytes before


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an empty database."""
    with postgres_server() as address:
        yield address


@pytest.fixture
async def postgres(server: str) -> str:
    """The database, with empty tables."""
    async with open_store(server) as store, store.writing() as connection:
        for table in metadata.sorted_tables:
            await connection.execute(text(f"TRUNCATE {table.name}"))
    return server


async def test_both_databases_hold_the_same_rows(postgres: str, url: str) -> None:
    await read_into(url, STORY)
    for batch in batches(STORY.messages, [3, 4, 20, 30]):
        async with open_store(postgres) as store:
            await Ingest(store, STORY.stream, PriceBook()).write(batch)
    assert await rows_in(postgres) == await rows_in(url)
    assert (await compare(postgres, url)).same


async def test_both_databases_give_the_same_answers(postgres: str, url: str) -> None:
    await read_into(url, STORY)
    await read_into(postgres, STORY)
    async with open_store(postgres) as store, open_store(url) as other:
        here, there = Queries(store), Queries(other)
        assert await here.totals() == await there.totals()
        assert await here.runs(status="answered") == await there.runs(status="answered")
        assert await here.run("run-b") == await there.run("run-b")
        assert await here.events(agent="lead") == await there.events(agent="lead")
        with pytest.raises(NotFound):
            await here.run("zzz")
        with pytest.raises(CallerMistake):
            await here.run("run-")


async def test_a_second_writer_is_refused_there_too(postgres: str) -> None:
    async with open_store(postgres) as store:
        first, second = Ingest(store, STORY.stream, PriceBook()), Ingest(store, STORY.stream, PriceBook())
        assert await first.resume() == await second.resume()
        await first.write(STORY.messages[:10])
        with pytest.raises(Displaced):
            await second.write(STORY.messages[:10])
