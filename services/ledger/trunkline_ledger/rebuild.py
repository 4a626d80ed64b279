"""The ledger read again from the log, into a fresh database; compared with the old one, or put in its place."""

from asyncio import to_thread
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from trunkline.contracts.errors import CallerMistake
from trunkline.prices import PriceBook
from trunkline_ledger.dump import digests
from trunkline_ledger.ingest import Ingest, Written
from trunkline_ledger.store import open_store
from trunkline_ledger.stream import Follow, Resolve, Stream, as_stored
from trunkline_ledger.tables import position

SUFFIX = ".rebuilt"

Progress = Callable[[int, int], object]
"""Called with the sequence that is reached, and the one where it ends."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Names of the tables whose rows are not the same. `position` differs when one has read further."""

    differing: tuple[str, ...]

    @property
    def same(self) -> bool:
        return not self.differing


@dataclass(frozen=True, slots=True)
class Log:
    """Where to read it from: everything that a rebuild needs of the bus."""

    stream: Stream
    follow: Follow
    resolve: Resolve = as_stored


async def rebuild(url: str, log: Log, prices: PriceBook, *, progress: Progress | None = None) -> int:
    """Read the log from its beginning to what is its end now into the empty database at `url`; returns that sequence.

    Raises CallerMistake when the database is not empty.
    """
    last = log.stream.last_sequence

    def tell(written: Written) -> None:
        if progress is not None:
            progress(written.sequence, last)

    async with open_store(url) as store:
        ingest = Ingest(store, log.stream, prices, log.resolve)
        if await ingest.resume() > 0:
            raise CallerMistake(f"The database at {url} has rows already.", "Give an empty one to rebuild into.")
        return await ingest.run(log.follow, until=last, report=tell)


async def compare(old: str, new: str) -> Comparison:
    """Row by row, byte by byte."""
    async with open_store(old) as first, open_store(new) as second:
        here, there = await digests(first), await digests(second)
    return Comparison(tuple(name for name in here if here[name] != there[name]))


async def replace(file: Path, log: Log, prices: PriceBook, *, progress: Progress | None = None) -> int:
    """Rebuild the SQLite ledger in `file`: beside it first, then in its place at once. Returns the last sequence.

    Until the last moment the old one is whole. Close every reader and writer first. Raises CallerMistake when one is
    left: its write-ahead log would be taken for the new file's.
    """
    fresh = file.with_name(file.name + SUFFIX)
    for leftover in _files(fresh):
        await to_thread(leftover.unlink, missing_ok=True)
    sequence = await rebuild(_url(fresh), log, prices, progress=progress)
    await _close_log(file)
    await _close_log(fresh)
    await to_thread(fresh.replace, file)
    return sequence


async def _close_log(file: Path) -> None:
    """Move what stands in the write-ahead log into the file; the last connection to leave then removes it."""
    if not await to_thread(file.exists):
        return
    async with open_store(_url(file)) as store, store.writing() as connection:
        await connection.execute(select(position))
    if any([await to_thread(beside.exists) for beside in _files(file)[1:]]):
        raise CallerMistake(f"{file} is open in another process.", "Stop the ledger and whatever reads its file.")


def _files(file: Path) -> list[Path]:
    return [file, *(file.with_name(file.name + ending) for ending in ("-wal", "-shm"))]


def _url(file: Path) -> str:
    return f"sqlite+aiosqlite:///{file.absolute()}"
