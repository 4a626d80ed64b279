"""A log from elsewhere on an empty bus: it is what it was, to all readers, and nobody's work."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog.testing

from tests.conftest import wait_until
from trunkline.bus import Bus, StoredMessage, append, fold, follow, provision
from trunkline.bus.consumers import Consumer, ensure_consumer
from trunkline.bus.importing import Contents, contents_of, import_log
from trunkline.bus.marks import read_mark
from trunkline.bus.objects import INLINE_LIMIT
from trunkline.bus.provision import streams
from trunkline.bus.record import read_record, record_of
from trunkline.bus.stored import ORIGIN
from trunkline.bus.streams import IMPORTED_UP_TO, UNFINISHED, sequence_before, stream_info
from trunkline.contracts.errors import BrokenFile, BusUnavailable, InvalidArguments
from trunkline.contracts.ids import new_run_id
from trunkline.contracts.messages import Note, Request
from trunkline.contracts.subjects import TRUNK, RunKey

THEN = datetime(2024, 2, 29, 12, 0, 0, 123456, UTC)


def silent(_octets: int) -> None:
    pass


def subject_of(sequence: int) -> str:
    return str(RunKey.checked(f"run-{sequence}", "talk").step("note", "test"))


async def line(
    sequence: int,
    data: bytes = b'{"what":"x"}',
    *,
    subject: str = "",
    at: datetime | None = None,
    headers: dict[str, str] | None = None,
) -> bytes:
    """As the log of a bus that is long gone had it: a message a second."""
    stored = at or THEN + timedelta(seconds=sequence)
    message = StoredMessage(subject or subject_of(sequence), sequence, stored, data, headers)
    return await record_of(NO_BUS, message) + b"\n"


NO_BUS: Any = None
"""What has no reference to a payload needs none."""


async def imported(bus: Bus, *lines: bytes) -> Contents:
    file = io.BytesIO(b"".join(lines))
    contents = contents_of(file, silent)
    await import_log(bus, file, contents, silent)
    return contents


async def log_of(bus: Bus, stream: str = TRUNK) -> list[StoredMessage]:
    """All that stands there, as a follower sees it."""
    found: list[StoredMessage] = []
    async for batch in follow(bus, stream):
        if not batch:
            break
        found += batch
    return found


async def test_sequences_times_headers_and_bytes_are_those_of_the_file(bus: Bus) -> None:
    """Gaps stay gaps, and what comes next stands behind the last."""
    told = {"Nats-Msg-Id": "same", "Nats-Expected-Last-Subject-Sequence": "7", "Said": "\u00fcber"}
    file = [
        await line(5, b'{"what": 1.0}', headers=told),
        await line(6, b"\xff\x00", headers=told),
        await line(30_000),
        await line(30_001, b"", subject="trunk.a*b.\u00e9"),
    ]
    contents = await imported(bus, *file)
    assert (contents.messages, contents.first, contents.last) == (4, 5, 30_001)
    found = await log_of(bus)
    assert [message.sequence for message in found] == [5, 6, 30_000, 30_001]
    assert [await record_of(bus, message) + b"\n" for message in found] == file
    (event,) = await fold(bus, subject_of(30_000))
    assert event.at == THEN + timedelta(seconds=30_000)
    mine = await append(bus, RunKey.checked(new_run_id(), "talk").step("request", "router"), Request(text="now"))
    assert (mine.own, mine.sequence) == (True, 30_002)
    declared = {each["name"]: each for each in streams()}[TRUNK]
    assert (await provision(bus)).differing == {}
    assert (await bus.api(f"STREAM.INFO.{TRUNK}"))["config"].items() >= (declared | {"first_seq": 5}).items()


async def test_a_payload_in_the_file_stands_apart_again(bus: Bus) -> None:
    """And what was as large in its message itself stands there."""
    key = RunKey.checked(new_run_id(), "talk")
    await append(bus, key.step("request", "router"), Request(text="long " * INLINE_LIMIT))
    (before,) = await log_of(bus)
    file = await record_of(bus, before)
    assert read_record(file).apart
    for stream in (TRUNK, "OBJ_payloads"):
        await bus.api(f"STREAM.DELETE.{stream}")
    large = b'"' + b"x" * 2 * INLINE_LIMIT + b'"'
    await imported(bus, file + b"\n", await line(2, large))
    after, other = await log_of(bus)
    assert (after, other.data) == (before, large)
    (event,) = await fold(bus, key.everything)
    assert isinstance(event.fact, Request)
    assert event.fact.text == "long " * INLINE_LIMIT


async def test_a_publisher_cannot_forge_times(bus: Bus) -> None:
    """The header counts on what was imported, on no other message and on no other log."""
    forged = {ORIGIN: '{"at": "1999-01-01T00:00:00Z"}'}
    await bus.mailbox.request(subject_of(1), b"{}", headers=forged)
    (live,) = await log_of(bus)
    assert live.at.year > 2024
    await bus.api(f"STREAM.DELETE.{TRUNK}")
    await imported(bus, await line(1))
    await bus.mailbox.request(subject_of(2), b"{}", headers=forged)
    first, second = await log_of(bus)
    assert (first.at, second.at.year > 2024) == (THEN + timedelta(seconds=1), True)


async def test_a_moment_is_found_among_imported_and_own_messages(bus: Bus) -> None:
    await imported(bus, *[await line(sequence) for sequence in (10, 11, 20, 21, 40)])
    await bus.mailbox.request(subject_of(41), b"{}")
    own = (await log_of(bus))[-1].at
    moments = [THEN + timedelta(seconds=each) for each in (0, 10, 10.5, 11, 15, 20, 40, 41)]
    found = [await sequence_before(bus, TRUNK, moment) for moment in moments]
    assert found == [0, 0, 10, 10, 11, 11, 21, 40]
    assert await sequence_before(bus, TRUNK, own + timedelta(hours=1)) == 41
    assert await sequence_before(bus, TRUNK, own - timedelta(hours=1)) == 40
    third = await bus.api(f"STREAM.MSG.GET.{TRUNK}", {"seq": 20})
    assert await sequence_before(bus, TRUNK, datetime.fromisoformat(third["message"]["time"])) == 40


async def test_a_moment_is_found_in_a_log_whose_clock_went_ahead(bus: Bus) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await imported(bus, await line(1), await line(2, at=tomorrow))
    assert await sequence_before(bus, TRUNK, tomorrow - timedelta(hours=1)) == 1


async def test_work_begins_behind_what_was_imported(bus: Bus) -> None:
    """For consumers, and for readers that look after runs; settings that we chose are no difference."""
    consumer = Consumer(TRUNK, "w", ("trunk.*.*.*.note.test.*",))
    await imported(bus, await line(3), await line(4))
    await ensure_consumer(bus, consumer)
    assert (await ensure_consumer(bus, consumer)).differences == {}
    await bus.mailbox.request(subject_of(5), b"{}")

    async def waiting() -> bool:
        state = await bus.api("CONSUMER.INFO.TRUNK.w")
        assert state["config"]["opt_start_seq"] == 5
        return bool(state["num_pending"] == 1)

    await wait_until(waiting, "what is new waits, and nothing else")
    assert (await read_mark(bus, "anybody")).sequence == 4


async def test_only_an_empty_log_takes_an_import(bus: Bus) -> None:
    await append(bus, RunKey.checked(new_run_id(), "c").step("note", "test"), Note(what="here"))
    with pytest.raises(InvalidArguments, match="not empty: it has 1 messages") as refused:
        await imported(bus, await line(1))
    assert "--data" in refused.value.hint
    assert len(await log_of(bus)) == 1


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"{\n", "it is no event"),
        (b'{"sequence":2,"at":"2024-01-01T00:00:00Z"}\n', "missing required field `subject`"),
        (b'{"sequence":2,"at":"2024-01-01T00:00:00","subject":"trunk.a"}\n', "no zone"),
        (b'{"sequence":2,"at":"2024-01-01T00:00:00Z","subject":"trunk.a","base64":"?"}\n', "base64"),
        (b'{"sequence":2,"at":"2024-01-01T00:00:00Z","subject":"ops.dead.a"}\n', "does not begin with 'trunk.'"),
        (b'{"sequence":1,"at":"2024-01-01T00:00:00Z","subject":"trunk.a"}\n', "must rise"),
        (b'{"sequence":2,"at":"2024-01-01T00:00:00Z","subject":"%s"}\n' % subject_of(1).encode(), "an earlier line"),
    ],
)
async def test_a_bad_line_is_named_and_nothing_is_imported(bad: bytes, why: str) -> None:
    with pytest.raises(BrokenFile, match=f"Line 3 cannot be imported: .*{why}"):
        contents_of(io.BytesIO(await line(1) + b"\n" + bad), silent)


def test_a_file_without_events_is_none() -> None:
    with pytest.raises(BrokenFile, match="no event"):
        contents_of(io.BytesIO(b"\n \n"), silent)


async def test_what_nobody_can_publish_again_is_left_out_and_said(bus: Bus) -> None:
    """A wildcard as a token, or bytes that were no text: its sequence stays free."""
    file = [await line(1), await line(2, subject="trunk.*.x"), await line(3, subject="trunk.\ufffd"), await line(4)]
    contents = await imported(bus, *file)
    assert (contents.messages, contents.left_out) == (2, (2, 3))
    assert [message.sequence for message in await log_of(bus)] == [1, 4]


async def test_an_import_that_breaks_off_leaves_an_empty_log(bus: Bus) -> None:
    """Here the second event is more than the server takes; afterwards another import works."""
    too_large = b'"' + b"x" * 1_100_000 + b'"'
    with structlog.testing.capture_logs() as said, pytest.raises(BusUnavailable, match="larger than the bus takes"):
        await imported(bus, await line(1), await line(2, too_large))
    assert [each["action"] for each in said] == ["import_undone"]
    assert (await stream_info(bus, TRUNK)).last_sequence == 0
    assert (await provision(bus)).differing == {}
    await imported(bus, await line(1))
    assert len(await log_of(bus)) == 1


async def test_while_an_import_is_unfinished_nobody_works_reads_or_writes(bus: Bus) -> None:
    """As after a kill in the middle of it; the next import begins anew."""
    await imported(bus, await line(1), await line(2))
    config = (await bus.api(f"STREAM.INFO.{TRUNK}"))["config"]
    await bus.api(f"STREAM.UPDATE.{TRUNK}", config | {"metadata": {IMPORTED_UP_TO: UNFINISHED}})
    with pytest.raises(BusUnavailable, match="import into the stream TRUNK has not finished"):
        await ensure_consumer(bus, Consumer(TRUNK, "w", ("trunk.>",)))
    with pytest.raises(BusUnavailable, match="has not finished"):
        await fold(bus, subject_of(1))
    reading = asyncio.create_task(log_of(bus))
    await imported(bus, await line(7))
    assert [message.sequence for message in await reading] == [7]


async def test_nobody_can_write_in_between(bus: Bus) -> None:
    """Somebody tries while the first line is read for writing: nobody listens, and no sequence is lost."""
    file = io.BytesIO(b"".join([await line(sequence) for sequence in range(1, 400)]))
    contents = contents_of(file, silent)
    trying: list[asyncio.Task[Any]] = []

    def try_to_write(_octets: int) -> None:
        if not trying:
            trying.append(asyncio.create_task(bus.mailbox.request(subject_of(500), b"{}")))

    await import_log(bus, file, contents, try_to_write)
    with pytest.raises(BusUnavailable, match="Nobody on the bus answers"):
        await trying[0]
    assert [message.sequence for message in await log_of(bus)] == list(range(1, 400))
