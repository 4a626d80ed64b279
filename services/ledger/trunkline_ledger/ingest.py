"""From the log into the tables: messages, the rows that they change and the new position, in one transaction."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from trunkline.contracts.errors import BadMessage, CallerMistake
from trunkline.prices import PriceBook
from trunkline_ledger.reading import Reading, read
from trunkline_ledger.rows import GapRow
from trunkline_ledger.store import Store
from trunkline_ledger.stream import Follow, Resolve, StoredMessage, Stream, as_stored
from trunkline_ledger.tables import events, gaps, position
from trunkline_ledger.working_set import WorkingSet, insert_rows

log = structlog.get_logger("trunkline.ledger")

LARGEST_TRANSACTION = 1000


class ForeignLog(CallerMistake):
    """The rows were read from another log than this one."""

    code = "foreign_log"


class Displaced(CallerMistake):
    """Another process writes the same ledger."""

    code = "displaced"


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, and up to which sequence. `gaps` counts places where the log has lost messages."""

    sequence: int
    events: int = 0
    problems: int = 0
    gaps: int = 0


class Ingest:
    """Writes one stream's messages. One process at a time may do this for a database."""

    def __init__(self, store: Store, stream: Stream, prices: PriceBook, resolve: Resolve = as_stored) -> None:
        self._store = store
        self._stream = stream
        self._prices = prices
        self._resolve = resolve
        self._sequence: int | None = None
        self._resumed = False

    async def resume(self) -> int:
        """The sequence of the last message that is in the tables; 0 at first. Raises ForeignLog."""
        async with self._store.writing() as connection:
            found = (await connection.execute(select(position))).one_or_none()
            if found is not None and not found.sequence:  # nothing has been read: any log will do
                await connection.execute(delete(position))
                found = None
            if found is None:
                await connection.execute(insert(position).values(self._beginning()))
        if found is not None:
            self._check(Stream(found.stream, found.created, found.sequence))
            self._compare_prices(found.prices)
        self._resumed = True
        self._sequence = int(found.sequence) if found is not None else 0
        return self._sequence

    async def run(
        self, follow: Follow, *, until: int | None = None, report: Callable[[Written], object] | None = None
    ) -> int:
        """Write what `follow` yields behind what the tables have, and `report` each batch, also an empty one.

        Ends when `follow` does, or at the sequence `until`; returns where. Raises ForeignLog, Displaced.
        """
        sequence = await self.resume()
        if until is not None and sequence >= until:
            return sequence
        batches = follow(sequence)
        try:
            async for batch in batches:
                written = await self.write(batch)
                sequence = written.sequence
                if report is not None:
                    report(written)
                if until is not None and sequence >= until:
                    break
        finally:
            if isinstance(batches, AsyncGenerator):
                await batches.aclose()
        return sequence

    async def write(self, batch: Sequence[StoredMessage]) -> Written:
        """Messages that are in the tables already are passed over. Raises ForeignLog, Displaced."""
        after = self._sequence if self._sequence is not None else await self.resume()
        total = Written(after)
        for first in range(0, len(batch), LARGEST_TRANSACTION):
            part = await self._write(batch[first : first + LARGEST_TRANSACTION], total.sequence)
            total = Written(
                part.sequence, total.events + part.events, total.problems + part.problems, total.gaps + part.gaps
            )
        return total

    async def _write(self, batch: Sequence[StoredMessage], after: int) -> Written:
        fresh, lost = _in_order(batch, after)
        if not fresh:
            return Written(after)
        readings = [await read(message, self._resolve) for message in fresh]
        sequence = fresh[-1].sequence
        self._sequence = None  # not known until the transaction is through
        async with self._store.writing() as connection:
            await self._advance(connection, after, sequence)
            problems = await self._project(connection, readings)
            await insert_rows(connection, gaps, lost)
        self._sequence = sequence
        for gap in lost:
            log.warning("the log has a gap", action="gap", first=gap.first, last=gap.last)
        return Written(sequence, len(fresh), problems, len(lost))

    async def _advance(self, connection: AsyncConnection, after: int, sequence: int) -> None:
        """Move the position first: it locks out any other writer before the rows are read."""
        mine = (position.c.stream == self._stream.name) & (position.c.sequence == after)
        moved = await connection.execute(update(position).where(mine).values(sequence=sequence))
        if moved.rowcount != 1:
            raise Displaced(
                f"The ledger is no longer at {after}, where this process left it.",
                "Run one ledger for a database; stop the other one.",
            )

    async def _project(self, connection: AsyncConnection, readings: Sequence[Reading]) -> int:
        working = WorkingSet(self._prices)
        await working.load(connection, {reading.event.subject.run for reading in readings if reading.event})
        believed = [_applied(working, reading) for reading in readings]
        await insert_rows(connection, events, (reading.row for reading in believed))
        await working.save(connection)
        return sum(reading.row.problem is not None for reading in believed)

    def _beginning(self) -> dict[str, object]:
        stream = self._stream
        return {"stream": stream.name, "created": stream.created, "sequence": 0, "prices": self._prices.version}

    def _check(self, known: Stream) -> None:
        if (known.name, known.created) != (self._stream.name, self._stream.created):
            raise ForeignLog(
                f"The ledger was read from the stream {known.name} of {known.created:%Y-%m-%d %H:%M:%S}, and this is "
                f"{self._stream.name} of {self._stream.created:%Y-%m-%d %H:%M:%S}.",
                "Rebuild the ledger from this log, or give it another database.",
            )
        # What the stream's end was is known of the beginning only; it grows while this process reads.
        if not self._resumed and known.last_sequence > self._stream.last_sequence:
            raise ForeignLog(
                f"The ledger has read up to {known.last_sequence}, and the stream {known.name} ends at "
                f"{self._stream.last_sequence}: the log has lost its end.",
                "Restore the stream, or rebuild the ledger from what is left of it.",
            )

    def _compare_prices(self, version: str) -> None:
        if not self._resumed and version != self._prices.version:
            log.warning(
                "the price table has changed; what was priced here keeps its cost until the ledger is rebuilt",
                action="prices_changed",
                was=version,
                now=self._prices.version,
            )


def _in_order(batch: Sequence[StoredMessage], after: int) -> tuple[list[StoredMessage], list[GapRow]]:
    """What is new in the batch, and the sequences that are missing before it. Nothing leaves the log by design."""
    fresh, lost = [], []
    for message in batch:
        if message.sequence <= after:
            continue
        if message.sequence > after + 1:
            lost.append(GapRow(first=after + 1, last=message.sequence - 1, found_at=message.at))
        fresh.append(message)
        after = message.sequence
    return fresh, lost


def _applied(working: WorkingSet, reading: Reading) -> Reading:
    if reading.event is None:
        return reading
    try:
        working.apply(reading.event)
    except BadMessage as error:
        return reading.doubted(error)
    return reading
