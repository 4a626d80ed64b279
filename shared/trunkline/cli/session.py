"""A command's time on the bus: connect, do the work, leave."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Coroutine, MutableMapping
from typing import Any, TypeVar

import structlog

from trunkline.bus import Bus
from trunkline.bus.provision import provisioned
from trunkline.cli.settings import CliSettings
from trunkline.contracts.errors import BusUnavailable

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do the work; Ctrl-C cancels it and is raised as KeyboardInterrupt."""
    _log(logging.ERROR)
    return asyncio.run(work)


@contextlib.asynccontextmanager
async def on_bus(url: str) -> AsyncIterator[Bus]:
    """A bus, whatever is on it. Raises BusUnavailable."""
    settings = CliSettings.load()
    async with Bus.open(url or settings.nats_url, name="trunkline-cli", wait=settings.bus_patience) as bus:
        _log(logging.WARNING)  # from now on; that there is no bus at all is said once, as an error
        yield bus


@contextlib.asynccontextmanager
async def on_trunkline(url: str) -> AsyncIterator[Bus]:
    """A bus with a Trunkline on it. Raises BusUnavailable."""
    async with on_bus(url) as bus:
        if not await provisioned(bus):
            raise BusUnavailable(f"There is no Trunkline on the bus at {bus.url}.", "Start it with `trunkline up`.")
        yield bus


def _log(level: int) -> None:
    """What the libraries log goes to stderr, a line each, and only when it matters."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, _unreadable_once(), _line],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr, format="%(name)s: %(message)s")


def _unreadable_once() -> structlog.typing.Processor:
    """What cannot be read is met again with every run of its conversation: one line is enough."""
    told: set[str] = set()

    def processor(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event.get("action") == "unreadable":
            if event["subject"] in told:
                raise structlog.DropEvent
            told.add(event["subject"])
        return event

    return processor


def _line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    rest = ", ".join(f"{key} {value}" for key, value in event.items() if key not in ("event", "action", "level"))
    return f"{event['event']} ({rest})" if rest else str(event["event"])
