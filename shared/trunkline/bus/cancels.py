"""Runs that are to stop, heard as it is said: a hint over core NATS that may be missed; the log is what counts."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from trunkline.contracts.errors import BadSubject
from trunkline.contracts.subjects import Subject, filter_of

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from trunkline.bus.connection import Bus


class Cancels:
    """Who works on a run waits for its event beside the work: `with cancels.of(run) as stop`."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)

    @contextlib.asynccontextmanager
    async def listening(self, bus: Bus) -> AsyncIterator[Cancels]:
        """Hear while inside."""
        subscription = await bus.client.subscribe(filter_of(kind="cancel"), cb=self._hear)
        try:
            yield self
        finally:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()

    @contextlib.contextmanager
    def of(self, run: str) -> Iterator[asyncio.Event]:
        """Set once the run is to stop, while inside."""
        stop = asyncio.Event()
        self._waiting[run].add(stop)
        try:
            yield stop
        finally:
            self._waiting[run].discard(stop)
            if not self._waiting[run]:
                del self._waiting[run]

    async def _hear(self, message: Msg) -> None:
        with contextlib.suppress(BadSubject):
            for stop in self._waiting.get(Subject.parse(message.subject).run, ()):
                stop.set()
