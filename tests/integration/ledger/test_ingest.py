"""The ledger is a pure function of the log, whatever happens to the process that reads it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.integration.ledger.ledgers import Rows, following, read_into, rows_in, url_of
from tests.integration.ledger.reading_process import long_story
from tests.unit.ledger.story import START, Story, batches, everything, one_tool_run
from trunkline.contracts.codec import encode
from trunkline.contracts.errors import BadMessage, BusUnavailable, InvalidSettings
from trunkline.contracts.messages import Request
from trunkline.prices import PriceBook
from trunkline.prices.rates import FREE
from trunkline_ledger.ingest import Displaced, ForeignLog, Ingest, Written
from trunkline_ledger.queries import Queries
from trunkline_ledger.store import open_store
from trunkline_ledger.stream import Stream

ROOT = Path(__file__).parents[3]
STORY = everything()


async def test_the_ledgers_events_are_the_logs_one_by_one(url: str) -> None:
    await read_into(url, STORY)
    async with open_store(url) as store:
        found = await Queries(store).events(limit=1000)
    assert [(event.sequence, event.at, event.size) for event in found] == [
        (message.sequence, message.at, len(message.data)) for message in STORY.messages
    ]
    assert [event.subject for event in found] == [message.subject.replace("\0", "�") for message in STORY.messages]


async def test_what_cannot_be_read_is_kept_with_its_problem(url: str) -> None:
    await read_into(url, STORY)
    async with open_store(url) as store:
        found = await Queries(store).events(problems=True)
    problems = [(event.kind, event.body, (event.problem or "")[:20]) for event in found]
    assert problems == [
        ("request", "�� not json", "not a request messag"),
        ("dream", {}, "'trunk.main.c-1.run-"),
        (None, {"a": 1}, "'elsewhere.\\x00.x' i"),
        ("answer", {"kind": "answer", "text": "stolen"}, "run run-a belongs to"),
    ]


_clean: Rows = []


def clean_rows() -> Rows:
    """The rows of one undisturbed reading."""
    if not _clean:
        with tempfile.TemporaryDirectory() as folder:
            url = url_of(Path(folder) / "clean.db")
            asyncio.run(read_into(url, STORY))
            _clean.extend(asyncio.run(rows_in(url)))
    return _clean


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(1, len(STORY.messages) - 1), max_size=12),
    restarts=st.sets(st.integers(0, 12)),
    repeated=st.sets(st.integers(0, 12)),
)
def test_batches_restarts_and_repetitions_leave_the_same_rows(
    cuts: list[int], restarts: set[int], repeated: set[int]
) -> None:
    async def read(url: str) -> Rows:
        parts = batches(STORY.messages, cuts)
        done = 0
        while done < len(parts):
            async with open_store(url) as store:
                ingest = Ingest(store, STORY.stream, PriceBook())
                while done < len(parts):
                    await ingest.write(parts[done])
                    if done in repeated:
                        await ingest.write(parts[max(0, done - 1)] + parts[done])
                    done += 1
                    if done in restarts:
                        break
        return await rows_in(url)

    with tempfile.TemporaryDirectory() as folder:
        assert asyncio.run(read(url_of(Path(folder) / "ledger.db"))) == clean_rows()


@pytest.mark.timeout(180)
async def test_a_reader_that_is_killed_again_and_again_leaves_the_same_rows(url: str, tmp_path: Path) -> None:
    story = long_story()
    clean = url_of(tmp_path / "clean.db")
    await read_into(clean, story)
    kills = 0
    while await asyncio.to_thread(_killed_after, url, lines=8 + 5 * kills):
        kills += 1
    assert kills >= 3
    assert await rows_in(url) == await rows_in(clean)


def _killed_after(url: str, *, lines: int) -> bool:
    """Start a reader and kill -9 it some time after its n-th batch; False when it came to its end before."""
    command = [sys.executable, "-m", "tests.integration.ledger.reading_process", url]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as reader:
        assert reader.stdout
        for _ in range(lines):
            if not reader.stdout.readline():
                assert reader.wait() == 0
                return False
        reader.send_signal(signal.SIGKILL)
        return reader.wait() == -signal.SIGKILL


async def test_a_batch_that_fails_leaves_nothing_and_can_be_given_again(url: str) -> None:
    failing = True

    async def resolve(body: bytes) -> bytes:
        if failing and b"answer" in body:
            raise BusUnavailable("The object store is away.")
        return body

    async with open_store(url) as store:
        ingest = Ingest(store, STORY.stream, PriceBook(), resolve)
        with pytest.raises(BusUnavailable):
            await ingest.write(STORY.messages)
        assert (await Queries(store).totals()).events == 0
        failing = False
        assert (await ingest.write(STORY.messages)).events == len(STORY.messages)
    assert await rows_in(url) == await asyncio.to_thread(clean_rows)


async def test_a_body_that_is_stored_elsewhere_is_read_from_there(url: str) -> None:
    story = Story()
    story.tell("request.router.0", b'{"payload":1}', run="run-a")
    story.tell("request.router.0", b'{"payload":2}', run="run-b")

    async def resolve(body: bytes) -> bytes:
        if body == b'{"payload":2}':
            raise BadMessage("payload 2 is not in the object store.")
        return encode(Request(text="A very long question"))

    async with open_store(url) as store:
        written = await Ingest(store, story.stream, PriceBook(), resolve).write(story.messages)
        (run,) = await Queries(store).runs()
        assert (written.events, written.problems) == (2, 1)
        assert (run.run, run.question) == ("run-a", "A very long question")
        assert [event.body for event in await Queries(store).events()] == [{"payload": 1}, {"payload": 2}]


async def test_a_gap_in_the_log_is_reported_wherever_the_batches_end(url: str) -> None:
    kept = [message for message in STORY.messages if message.sequence not in {1, 2, 7}]
    async with open_store(url) as store:
        ingest = Ingest(store, STORY.stream, PriceBook())
        with capture_logs() as logs:
            reports = [await ingest.write(batch) for batch in batches(kept, [4, 10])]
        assert (await Queries(store).totals()).gaps == 2
    assert sum(report.gaps for report in reports) == 2
    assert [(entry["first"], entry["last"]) for entry in logs if entry.get("action") == "gap"] == [(1, 2), (7, 7)]


async def test_another_log_is_refused(url: str) -> None:
    await read_into(url, STORY)
    others = (
        Stream("TRUNK", START.replace(year=2027), 10_000),
        Stream("OTHER", START, 10_000),
        Stream("TRUNK", START, STORY.stream.last_sequence - 1),
    )
    async with open_store(url) as store:
        for other in others:
            with pytest.raises(ForeignLog):
                await Ingest(store, other, PriceBook()).resume()


async def test_a_ledger_that_has_read_nothing_takes_any_log(url: str) -> None:
    """As when a log is imported into the data folder of a platform that nobody has asked anything."""
    async with open_store(url) as store:
        assert await Ingest(store, Stream("TRUNK", START.replace(year=1999)), PriceBook()).resume() == 0
        assert await Ingest(store, STORY.stream, PriceBook()).run(following(STORY.messages)) == len(STORY.messages)
        assert await Ingest(store, STORY.stream, PriceBook()).resume() == len(STORY.messages)


async def test_a_log_that_has_grown_meanwhile_is_the_same_log(url: str) -> None:
    async with open_store(url) as store:
        ingest = Ingest(store, Stream("TRUNK", START, 5), PriceBook())
        assert await ingest.run(following(STORY.messages[:20])) == 20
        assert await ingest.run(following(STORY.messages)) == len(STORY.messages)


async def test_a_second_writer_is_refused(url: str) -> None:
    async with open_store(url) as store, open_store(url) as another:
        first, second = Ingest(store, STORY.stream, PriceBook()), Ingest(another, STORY.stream, PriceBook())
        assert await first.resume() == await second.resume() == 0
        await first.write(STORY.messages[:10])
        with pytest.raises(Displaced):
            await second.write(STORY.messages[:10])
        assert (await second.write(STORY.messages[:20])).events == 10


async def test_other_prices_are_said(url: str) -> None:
    await read_into(url, STORY)
    own = PriceBook({"openai:gpt-4o": FREE})
    async with open_store(url) as store:
        with capture_logs() as logs:
            await Ingest(store, STORY.stream, own).resume()
    assert [entry["action"] for entry in logs] == ["prices_changed"]


async def test_reading_ends_where_it_is_told_to(url: str) -> None:
    reports: list[Written] = []
    async with open_store(url) as store:
        ingest = Ingest(store, STORY.stream, PriceBook())
        reached = await ingest.run(following(STORY.messages, batch=5), until=12, report=reports.append)
        assert (reached, [report.sequence for report in reports]) == (15, [5, 10, 15])
        assert await ingest.run(following(STORY.messages), until=12) == 15


async def test_a_database_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"this is no database, and long enough to be seen as none" * 20)
    for url in (url_of(tmp_path / "file"), "nonsense", "oracle+nothing:///x"):
        with pytest.raises(InvalidSettings):
            async with open_store(url):
                pass


@settings(max_examples=60, deadline=None)
@given(
    noise=st.lists(
        st.tuples(
            st.sampled_from(
                ["request.router.0", "model.math.1", "prompt.math.1-1", "result.math.2", "answer.client.0"]
            ),
            st.one_of(
                st.binary(max_size=40),
                st.dictionaries(
                    st.sampled_from(["text", "usage", "attempt", "model", "input_hash", "tool", "error", "latency_ms"]),
                    st.recursive(
                        st.none() | st.integers() | st.floats() | st.text(max_size=5),
                        lambda inner: st.dictionaries(
                            st.sampled_from(["input_tokens", "code", "message"]), inner, max_size=3
                        ),
                        max_leaves=4,
                    ),
                ).map(lambda body: json.dumps(body).encode()),
            ),
        ),
        max_size=12,
    )
)
def test_no_bytes_stop_the_ledger(noise: list[tuple[str, bytes]]) -> None:
    story = Story()
    for where, body in noise:
        story.tell(where, body)

    async def read(url: str) -> Counter[str]:
        await read_into(url, story)
        return Counter(table for table, _ in await rows_in(url))

    with tempfile.TemporaryDirectory() as folder:
        assert asyncio.run(read(url_of(Path(folder) / "ledger.db")))["events"] == len(noise)


@pytest.mark.timeout(240)
async def test_twenty_thousand_events_are_read(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    story = Story()
    for number in range(2000):
        one_tool_run(story, f"run-{number:05}")
    begun = time.perf_counter()
    assert await read_into(url, story) == 20_000
    took = time.perf_counter() - begun
    with capsys.disabled():
        sys.stdout.write(f"\nledger: {20_000 / took:,.0f} events a second\n")
