"""`trunkline events --output jsonl`: the log as a file that needs no bus to be read."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from trunkline.bus.record import record_of
from trunkline.bus.streams import stream_info
from trunkline.cli.console import err, out, text
from trunkline.cli.figures import counted, size
from trunkline.cli.log_reading import LogReader, Wanted
from trunkline.cli.progress import Step, progress
from trunkline.cli.session import on_trunkline
from trunkline.contracts.subjects import TRUNK

if TYPE_CHECKING:
    from trunkline.bus import Bus, StoredMessage


async def export(url: str, wanted: Wanted, limit: int, *, follow: bool) -> None:
    """A line for each event that is wanted; payloads that stand apart are in it. Raises BusUnavailable."""
    async with on_trunkline(url) as bus:
        reader = LogReader(bus, wanted)
        last = (await stream_info(bus, TRUNK)).last_sequence
        with _seen(last) as step:
            events = octets = 0
            async for message in reader.stored(limit):
                events += 1
                octets += await _write(bus, message)
                step(message.sequence)
        sys.stdout.flush()
        if follow:
            async for message in reader.coming():
                await _write(bus, message)
                sys.stdout.flush()
        elif err().is_terminal and not out().is_terminal:
            err().print(text((f"{counted(events, 'event')}, {size(octets)}", "faint")))


async def _write(bus: Bus, message: StoredMessage) -> int:
    """How many octets."""
    return sys.stdout.buffer.write(await record_of(bus, message) + b"\n")


@contextlib.contextmanager
def _seen(last: int) -> Iterator[Step]:
    """Progress, unless the lines themselves are seen."""
    if out().is_terminal:
        yield lambda _: None
        return
    with progress(err(), "reading the log", last) as step:
        yield step
