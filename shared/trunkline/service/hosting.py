"""A service's process: it connects, does its work, answers for its health, and drains when it is told to stop.

FastStream hosts the edges: lifecycle and signals, request/reply subjects, HTTP. What would break a law of the log
(its acknowledgement policies do) runs in our own lease loop, inside those edges.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog
import uvicorn
from faststream.asgi import AsgiFastStream, AsgiResponse, get
from faststream.nats import NatsBroker
from faststream.specification import AsyncAPI
from pydantic import BaseModel

from trunkline import __version__
from trunkline.bus import Bus, provision
from trunkline.bus.connection import PING_SECONDS, servers_of
from trunkline.client.edges import edge_documents
from trunkline.contracts.asyncapi import Document, platform_document
from trunkline.contracts.codec import encode
from trunkline.contracts.errors import BusUnavailable, CallerMistake, InvalidSettings, TrunklineError
from trunkline.contracts.health import Health
from trunkline.contracts.subjects import health as health_subject
from trunkline.service.edges import answer_queries
from trunkline.service.logs import configure_logs
from trunkline.service.settings import ServiceSettings

log = structlog.get_logger("trunkline.service")

JSON = {"content-type": "application/json"}


class Nothing(BaseModel):
    """A query without parameters."""


@dataclass
class Service:
    """What makes a service: its name, its work while it runs, and what it answers on core NATS.

    `work` is entered with the connected bus and left on stop. `edges` adds request/reply subscribers to the broker.
    `without`: what it does without now, and why.
    """

    name: str
    settings: ServiceSettings
    work: Callable[[Bus], AbstractAsyncContextManager[object]]
    edges: Callable[[NatsBroker], None] = lambda _broker: None
    without: Callable[[], tuple[str, ...]] = tuple
    started: float = field(default_factory=time.monotonic)
    ready: bool = False
    bus: Bus | None = None

    def health(self) -> Health:
        return Health(
            service=self.name,
            ready=self.ready,
            pid=os.getpid(),
            version=__version__,
            uptime=round(time.monotonic() - self.started, 1),
            bus=bool(self.bus and self.bus.client.is_connected),
            trouble=self.bus.trouble if self.bus else "",
            without=self.without(),
        )


def serve(service: Service) -> None:
    """Run until SIGTERM or SIGINT. Ends the process with one clear line when it cannot start or go on."""
    settings = service.settings
    configure_logs(service.name, format=settings.log_format, level=settings.log_level)
    try:
        asyncio.run(_run(service))
    except TrunklineError as error:
        lost = service.bus is not None and service.bus.lost.is_set()
        log.error(error.what, action="bus_lost" if lost else "cannot_start", hint=error.hint)
        sys.exit(2 if isinstance(error, CallerMistake) else 1)
    except KeyboardInterrupt:
        sys.exit(130)


def application(service: Service) -> AsgiFastStream:
    """The FastStream application: broker, health, AsyncAPI document."""
    broker = NatsBroker(
        servers_of(service.settings.nats_url),
        logger=None,
        max_reconnect_attempts=-1,
        reconnect_time_wait=1,
        ping_interval=PING_SECONDS,
        error_cb=_quiet,
        description="Request/reply edges; the log itself is described beside them.",
    )

    @broker.subscriber(
        health_subject(service.name), title=f"{service.name}.health", description="The service says how it is."
    )
    async def answer_health() -> bytes:
        return encode(service.health())

    service.edges(broker)
    app: AsgiFastStream

    async def describe(_: Nothing) -> Any:
        return app.schema.to_specification().to_jsonable()

    answer_queries(broker, service.name, "asyncapi", Nothing, describe, "The AsyncAPI document of these edges.")

    @get
    async def live(scope: Any) -> AsgiResponse:  # noqa: ARG001  # ASGI's own
        return AsgiResponse(encode(service.health()), 200, JSON)

    @get
    async def ready(scope: Any) -> AsgiResponse:  # noqa: ARG001  # ASGI's own
        health = service.health()
        return AsgiResponse(encode(health), 200 if health.ready and health.bus else 503, JSON)

    @get
    async def asyncapi(scope: Any) -> AsgiResponse:  # noqa: ARG001  # ASGI's own
        return AsgiResponse(orjson.dumps(await document_of(service)), 200, JSON)

    app = AsgiFastStream(
        broker,
        logger=None,
        specification=AsyncAPI(title=f"Trunkline {service.name}", version=__version__, schema_version="3.0.0"),
        asgi_routes=[("/live", live), ("/ready", ready), ("/asyncapi.json", asyncapi)],
    )
    return app


async def document_of(service: Service) -> Document:
    """The whole platform's, with the edges of the services that answer now."""
    edges = await edge_documents(service.bus) if service.bus else ()
    return platform_document(edges, version=__version__)


async def _run(service: Service) -> None:
    async with contextlib.AsyncExitStack() as stack:
        bus = await stack.enter_async_context(_connected(service))
        app = application(service)
        await stack.enter_async_context(app.start_lifespan_context())
        if service.settings.http:
            await stack.enter_async_context(_serving_http(app, service.settings.http))
        await stack.enter_async_context(_working(service, bus))
        await _until_told_to_stop(bus)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would end the process before the work is drained."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def _serving_http(app: AsgiFastStream, where: str) -> AsyncIterator[None]:
    """Listen while inside. Raises InvalidSettings."""
    server = _Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    with _listening(where) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        try:
            yield
        finally:
            server.should_exit = True
            await serving


def _listening(where: str) -> socket.socket:
    host, _, port = where.rpartition(":")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host or "127.0.0.1", int(port)))
    except (ValueError, OverflowError) as error:
        raise InvalidSettings(f"TRUNKLINE_HTTP is {where!r}.", "Write it as host:port.") from error
    except OSError as error:
        raise InvalidSettings(f"Nothing can listen at {where}: {error.strerror}.", "Choose another port.") from error
    return listener


async def _until_told_to_stop(bus: Bus) -> None:
    """Raises BusUnavailable when the bus is closed for good: then only a new process helps."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    ends = [
        asyncio.create_task(stop.wait(), name="stop signal"),
        asyncio.create_task(bus.lost.wait(), name="bus lost"),
    ]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
    if not stop.is_set():
        raise BusUnavailable("The bus is closed for good.", "Start the service again.")


@contextlib.asynccontextmanager
async def _connected(service: Service) -> AsyncIterator[Bus]:
    settings = service.settings
    async with Bus.open(settings.nats_url, name=f"trunkline-{service.name}", wait=settings.bus_wait) as bus:
        service.bus = bus
        await provision(bus)
        yield bus


@contextlib.asynccontextmanager
async def _working(service: Service, bus: Bus) -> AsyncIterator[None]:
    """The work, inside the edges: they say that we are not ready while it begins, and while it is drained."""
    async with service.work(bus):
        service.ready = True
        log.info("ready", action="ready", bus=service.settings.nats_url)
        try:
            yield
        finally:
            service.ready = False
            log.info("stopping", action="stopping")


async def _quiet(error: Exception) -> None:
    """The broker's own connection; ours reports the same trouble in one line."""
    log.debug("the edge connection reports a problem", action="edge_error", error=str(error))
