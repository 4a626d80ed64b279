"""`trunkline events import`: a log that was exported elsewhere, on a bus of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from trunkline.bus import Bus
    from trunkline.bus.importing import Contents


def import_events(
    file: Annotated[str, typer.Argument(help="What `events --output jsonl` wrote; - reads stdin.", show_default=False)],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", help="Into a platform's data folder, for `trunkline up --data`."),
    ] = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Take a log along: every event with its sequence and time, into an empty bus.

    What is imported stays as it is: its unfinished runs are not taken up, no model is asked, no tool is run. All of
    the file is imported, or nothing.
    """
    from trunkline.cli.session import run

    with _opened(file) as opened:
        contents = _checked(opened)
        run(_import(opened, contents, data.absolute() if data else None, url))
    _say(contents, data, url, as_json=as_json)


@contextlib.contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    """To be read twice, so what comes on stdin is kept in a file first. Raises BrokenFile."""
    import shutil
    import sys
    import tempfile

    from trunkline.contracts.errors import BrokenFile

    if file == "-":
        with tempfile.TemporaryFile() as kept:
            shutil.copyfileobj(sys.stdin.buffer, kept)
            yield kept
        return
    with contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(Path(file).open("rb"))
        except OSError as error:
            hint = "Write one with `trunkline events --output jsonl`."
            raise BrokenFile(f"The file {file} cannot be read: {error.strerror}.", hint) from error
        yield opened


def _checked(file: IO[bytes]) -> Contents:
    from trunkline.bus.importing import contents_of
    from trunkline.cli.console import err
    from trunkline.cli.progress import progress

    with progress(err(), "checking the file", _octets(file), octets=True) as step:
        return contents_of(file, step)


async def _import(file: IO[bytes], contents: Contents, data: Path | None, url: str) -> None:
    from trunkline.bus.importing import import_log
    from trunkline.cli.console import err
    from trunkline.cli.progress import progress
    from trunkline.cli.session import on_bus

    async with _in_folder(data) if data else on_bus(url) as bus:
        await bus.check_jetstream()
        await _nobody_at_work(bus)
        with progress(err(), "importing", _octets(file), octets=True) as step:
            await import_log(bus, file, contents, step)


@contextlib.asynccontextmanager
async def _in_folder(data: Path) -> AsyncIterator[Bus]:
    """The bus of a data folder, which runs while inside. Raises InvalidSettings, BusUnavailable."""
    from trunkline.cli.session import on_bus
    from trunkline.host.bus_keeper import BUS
    from trunkline.host.folder_lock import locked
    from trunkline.host.server import EmbeddedServer, free_port

    server = EmbeddedServer(data / BUS, free_port())
    with locked(data):
        async with server.running(), on_bus(server.url) as bus:
            yield bus


async def _nobody_at_work(bus: Bus) -> None:
    """Raises InvalidArguments: services would see the log change under them."""
    from trunkline.cli.health import healths
    from trunkline.contracts.errors import InvalidArguments

    at_work = [service for service, found in (await healths(bus)).items() if found]
    if at_work:
        raise InvalidArguments(
            f"Services are running on the bus at {bus.url}: {', '.join(at_work)}.",
            "Import into a new data folder with `--data FOLDER`; or stop them, import, and start them again.",
        )


def _octets(file: IO[bytes]) -> int:
    import os

    return os.fstat(file.fileno()).st_size


def _say(contents: Contents, data: Path | None, url: str, *, as_json: bool) -> None:
    from trunkline.cli.console import err, out, print_json, say, text
    from trunkline.cli.figures import counted

    if as_json:
        left_out = list(contents.left_out)
        said = {"imported": contents.messages, "first": contents.first, "last": contents.last, "left_out": left_out}
        print_json(said)
        return
    say(out(), text(f"Imported {counted(contents.messages, 'event')}, {contents.first:,} to {contents.last:,}."))
    if contents.left_out:
        lines = ", ".join(map(str, contents.left_out))
        say(err(), text((f"Left out, since nobody can publish under their subjects again: lines {lines}.", "warn")))
    where = f" --data {data}" if data else f" --url {url}" if url else ""
    say(out(), text(("Look at it: ", "faint"), (f"trunkline up{where}", "name")))
