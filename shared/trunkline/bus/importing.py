"""Taking a log that was exported elsewhere into an empty one: every message under its subject, at its sequence.

The server gives out sequences and times. So the stream begins at the first message's sequence, what is missing in
between is filled with placeholders that are removed in the end, and the times stand in a header (`stored.Origin`).
Until all is there the stream takes messages under other subjects than the log's, so nobody can write in between, and
it says that it is unfinished, so nobody reads it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

import orjson
import structlog

from trunkline.bus.objects import offload
from trunkline.bus.provision import provision
from trunkline.bus.record import LARGEST_LINE, Record, read_record
from trunkline.bus.stored import ORIGIN
from trunkline.bus.streams import IMPORTED_UP_TO, STREAM_NOT_FOUND, UNFINISHED, find_stream
from trunkline.contracts.errors import BadMessage, BrokenFile, BusUnavailable, InvalidArguments
from trunkline.contracts.subjects import IMPORTED_SUBJECTS, PLACEHOLDER, TRUNK, TRUNK_SUBJECTS, imported

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

log = structlog.get_logger("trunkline.bus")

AT_ONCE = 200
BYTES_AT_ONCE = 4_000_000
PLACEHOLDERS_AT_ONCE = 10_000
PREFIX = TRUNK_SUBJECTS.removesuffix(">")
_TOKEN = re.compile(r"(?![*>]$)[^\s\x00-\x20\ufffd]+")
_LONGEST_SUBJECT = 3900

Report = Callable[[int], object]
"""Takes how many bytes of the file have been dealt with."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a file that can be imported. `left_out`: lines whose subjects nobody can publish under again."""

    messages: int
    first: int
    last: int
    left_out: tuple[int, ...] = ()


def contents_of(file: IO[bytes], report: Report) -> Contents:
    """Look through the whole file. Raises BrokenFile for the first line that cannot be imported."""
    first = last = messages = 0
    left_out: list[int] = []
    subjects: set[int] = set()
    for number, record in _records(file, report):
        if record.sequence <= last:
            raise _broken(number, f"its sequence {record.sequence} comes after {last}; they must rise")
        if not record.subject.startswith(PREFIX):
            raise _broken(number, f"its subject {record.subject[:80]!r} does not begin with {PREFIX!r}")
        if not _publishable(record.subject):
            left_out.append(number)
            continue
        if hash(record.subject) in subjects:
            raise _broken(number, f"an earlier line has its subject {record.subject[:200]!r}, and a log has each once")
        subjects.add(hash(record.subject))
        first, last, messages = first or record.sequence, record.sequence, messages + 1
    if not messages:
        raise BrokenFile("There is no event in the file.", "Write one with `trunkline events --output jsonl`.")
    return Contents(messages, first, last, tuple(left_out))


async def import_log(bus: Bus, file: IO[bytes], contents: Contents, report: Report) -> None:
    """Write the file's events into the bus's log, which must be empty; all of them or none.

    Raises InvalidArguments when there is something on the log, BusUnavailable.
    """
    declared = await _empty_log(bus)
    created = ""
    try:
        created = await _make(bus, _open_for_import(declared, contents))
        await _write(bus, file, report)
        await _finish(bus, declared, contents)
    except BaseException:
        await _undo(bus, declared, created)
        raise


async def _empty_log(bus: Bus) -> dict[str, Any]:
    """Every stream is there, the log has never held anything; its settings."""
    info = await find_stream(bus, TRUNK)
    if info is not None and info.imported is None:
        await _delete(bus)
        info = None
    if info is not None and info.last_sequence:
        raise InvalidArguments(
            f"The log on the bus at {bus.url} is not empty: it has {info.messages:,} messages.",
            "Import into a new data folder, with `--data FOLDER`, or into another bus.",
        )
    await provision(bus)
    config: dict[str, Any] = (await _api(bus, f"STREAM.INFO.{TRUNK}"))["config"]
    return config | {"metadata": {}}


def _open_for_import(declared: dict[str, Any], contents: Contents) -> dict[str, Any]:
    return declared | {
        "subjects": [IMPORTED_SUBJECTS],
        "subject_transform": {"src": IMPORTED_SUBJECTS, "dest": ">"},
        "first_seq": contents.first,
        "deny_delete": False,
        "deny_purge": False,
        "discard": "old",
        "discard_new_per_subject": False,
        "max_msg_size": -1,
        "metadata": {IMPORTED_UP_TO: UNFINISHED},
    }


async def _make(bus: Bus, config: dict[str, Any]) -> str:
    """The log anew, with these settings; when it was created, as the server says it."""
    await _delete(bus)
    created: str = (await _api(bus, f"STREAM.CREATE.{TRUNK}", config))["created"]
    return created


async def _delete(bus: Bus) -> None:
    answer = await bus.api(f"STREAM.DELETE.{TRUNK}", wait=60.0)
    if (error := answer.get("error")) and error.get("err_code") != STREAM_NOT_FOUND:
        raise BusUnavailable(f"The stream {TRUNK} could not be deleted: {error.get('description')}.")


async def _write(bus: Bus, file: IO[bytes], report: Report) -> None:
    together: list[Record] = []
    size, last = 0, 0
    for _, record in _records(file, report):
        if not _publishable(record.subject):
            continue
        skipped = record.sequence - last - 1 if last else 0
        if skipped or len(together) == AT_ONCE or size > BYTES_AT_ONCE:
            await _publish(bus, together)
            together, size = [], 0
        await _skip(bus, skipped)
        together.append(record)
        size, last = size + len(record.data), record.sequence
    await _publish(bus, together)


async def _publish(bus: Bus, records: list[Record]) -> None:
    """In their order; the server refuses whatever does not come at its sequence."""
    bodies = [await offload(bus, record.data) if record.apart else record.data for record in records]
    publishing = (_publish_one(bus, record, body) for record, body in zip(records, bodies, strict=True))
    for failure in await asyncio.gather(*publishing, return_exceptions=True):
        if failure is not None:
            raise failure  # the first; those behind it failed because of it


async def _publish_one(bus: Bus, record: Record, body: bytes) -> None:
    origin = {"at": record.at.isoformat(), "headers": record.headers}
    headers = {ORIGIN: json.dumps(origin), "Nats-Expected-Last-Sequence": str(record.sequence - 1)}
    reply = await bus.mailbox.request(imported(record.subject), body, headers=headers, wait=30.0)
    if error := orjson.loads(reply.data).get("error"):
        raise BusUnavailable(
            f"The bus refused event {record.sequence}: {error.get('description')}.", "See nats-server's log."
        )


async def _skip(bus: Bus, count: int) -> None:
    """Use up sequences. One message stands for all of them, and an answer now and then keeps the server's pace."""
    for number in range(1, count + 1):
        if number == count or number % PLACEHOLDERS_AT_ONCE == 0:
            await bus.mailbox.request(imported(PLACEHOLDER), b"", wait=30.0)
        else:
            await bus.client.publish(imported(PLACEHOLDER), b"")


async def _finish(bus: Bus, declared: dict[str, Any], contents: Contents) -> None:
    """From now on it is the log."""
    await _api(bus, f"STREAM.PURGE.{TRUNK}", {"filter": PLACEHOLDER})
    state = (await _api(bus, f"STREAM.INFO.{TRUNK}"))["state"]
    if (state["messages"], state["last_seq"]) != (contents.messages, contents.last):
        raise BusUnavailable(
            f"Of {contents.messages:,} events the log has kept {state['messages']:,}.",
            f"Is there a limit on the stream {TRUNK}, or did the file change meanwhile?",
        )
    metadata = {IMPORTED_UP_TO: str(contents.last)}
    await _api(bus, f"STREAM.UPDATE.{TRUNK}", declared | {"first_seq": contents.first, "metadata": metadata})


async def _undo(bus: Bus, declared: dict[str, Any], created: str) -> None:
    """An empty log again; unless it is another one by now, which somebody else may have filled."""
    try:
        if await _taken(bus, created):
            log.warning(
                "the import broke off; the log is not the one that it began with, and is left as it is",
                action="import_left",
            )
            return
        await _make(bus, declared)
    except BusUnavailable as error:
        log.warning(
            "the import broke off; the log is marked as unfinished, and the next import begins anew",
            action="import_unfinished",
            reason=error.what,
        )
    else:
        log.warning("the import broke off; the log is empty again", action="import_undone")


async def _taken(bus: Bus, created: str) -> bool:
    """Whether there is a log that is not, or no longer, the unfinished one of then."""
    info = await find_stream(bus, TRUNK)
    ours = info is None or (info.imported is None and bool(created) and info.created == datetime.fromisoformat(created))
    return not ours


async def _api(bus: Bus, call: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = await bus.api(call, body, wait=60.0)
    if error := answer.get("error"):
        raise BusUnavailable(f"{call} was refused: {error.get('description')}.", "See nats-server's log.")
    return answer


def _records(file: IO[bytes], report: Report) -> Iterator[tuple[int, Record]]:
    """Every line with its number, from 1; blank ones are passed over. Raises BrokenFile."""
    file.seek(0)
    done, number = 0, 0
    while line := file.readline(LARGEST_LINE + 1):
        number += 1
        done += len(line)
        if line.strip():
            try:
                record = read_record(line)
                record.data  # noqa: B018  # whether it can be had
            except BadMessage as error:
                raise _broken(number, error.what.rstrip(".")) from error
            yield number, record
        report(done)


def _publishable(subject: str) -> bool:
    """Whether a message may be published under it again: wildcards as tokens, and bytes that are no text, cannot."""
    return len(subject.encode()) <= _LONGEST_SUBJECT and all(map(_TOKEN.fullmatch, subject.split(".")))


def _broken(number: int, why: str) -> BrokenFile:
    return BrokenFile(
        f"Line {number} cannot be imported: {why}.",
        "Nothing was imported. Correct the line or take it out, then import the file again.",
    )
