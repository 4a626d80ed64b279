"""The ledger: reads every event of the log into its tables, and answers from them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from faststream.nats import NatsBroker
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import SQLAlchemyError

from trunkline.bus import Bus, follow
from trunkline.bus.objects import resolve
from trunkline.bus.streams import stream_info
from trunkline.contracts.errors import TryAgain
from trunkline.contracts.subjects import TRUNK
from trunkline.prices import PriceBook
from trunkline.service import Service, ServiceSettings
from trunkline.service.edges import answer_queries
from trunkline_ledger.ingest import Displaced, Ingest, Written
from trunkline_ledger.queries import Queries
from trunkline_ledger.rebuild import Log
from trunkline_ledger.settings import Settings
from trunkline_ledger.spend import By
from trunkline_ledger.store import open_store
from trunkline_ledger.stream import Stream

log = structlog.get_logger("trunkline.ledger")

RETRY_SECONDS = 2.0
FRESHNESS_SECONDS = 3.0


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RunsQuery(_Query):
    limit: int = 50
    before: int | None = None
    agent: str | None = None
    status: str | None = None
    conversation: str | None = None
    user: str | None = None
    tenant: str | None = None
    children: bool = True


class RunQuery(_Query):
    run: str
    tenant: str | None = None


class EventsQuery(_Query):
    since: datetime | None = None
    until: datetime | None = None
    kind: str | None = None
    agent: str | None = None
    run: str | None = None
    after: int = 0
    limit: int = 200
    tenant: str | None = None
    problems: bool = False


class TotalsQuery(_Query):
    since: datetime | None = None
    until: datetime | None = None
    tenant: str | None = None


class SpendQuery(_Query):
    by: By = "agent"
    since: datetime | None = None
    until: datetime | None = None
    tenant: str | None = None
    limit: int = 50


class Ledger:
    """The running ledger. An answer is at least as new as the log was when the question came."""

    def __init__(self, bus: Bus, ingest: Ingest, queries: Queries) -> None:
        self._bus = bus
        self._ingest = ingest
        self._queries = queries
        self._sequence = 0
        self._moved = asyncio.Event()

    async def begin(self) -> None:
        """Raises ForeignLog when the tables were read from another log."""
        self._sequence = await self._ingest.resume()

    async def keep_reading(self) -> None:
        """Follow the log for ever; a database that is locked or away is tried again."""
        while True:
            try:
                await self._ingest.run(partial(_behind, self._bus), report=self._report)
            except (SQLAlchemyError, OSError, TryAgain, Displaced) as error:
                log.error("cannot write; trying again", action="ingest_failed", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def ask(self, method: str, question: BaseModel) -> Any:  # what the method gives
        await self._catch_up()
        answer: Callable[..., Awaitable[Any]] = getattr(self._queries, method)
        return await answer(**question.model_dump())

    def _report(self, written: Written) -> None:
        self._sequence = written.sequence
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _catch_up(self) -> None:
        last = (await stream_info(self._bus, TRUNK)).last_sequence
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FRESHNESS_SECONDS):
                while self._sequence < last:
                    await self._moved.wait()


def ledger_service(settings: ServiceSettings, own: Settings) -> Service:
    running: list[Ledger] = []

    @contextlib.asynccontextmanager
    async def work(bus: Bus) -> AsyncIterator[None]:
        prices = PriceBook.load(settings.config)
        async with open_store(own.located(settings.data).url) as store:
            log = await the_log(bus)
            ledger = Ledger(bus, Ingest(store, log.stream, prices, log.resolve), Queries(store))
            await ledger.begin()
            reading = asyncio.create_task(ledger.keep_reading(), name="ingest")
            running.append(ledger)
            try:
                yield
            finally:
                running.clear()
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    def edges(broker: NatsBroker) -> None:
        async def ask(method: str, question: BaseModel) -> Any:  # what the method gives
            if not running:
                raise TryAgain("The ledger is starting.", "Try again in a moment.")
            return await running[0].ask(method, question)

        serve = partial(answer_queries, broker, "ledger")
        serve("runs", RunsQuery, partial(ask, "runs"), "The newest runs, with what they used and cost.")
        serve("run", RunQuery, partial(ask, "run"), "One run with all its steps.")
        serve("events", EventsQuery, partial(ask, "events"), "Events in the order of the log.")
        serve("totals", TotalsQuery, partial(ask, "totals"), "Runs, tokens, cost and latency, summed up.")
        serve("spend", SpendQuery, partial(ask, "spend"), "What was spent and saved: by user, agent, tool, day …")

    return Service("ledger", settings, work, edges)


async def the_log(bus: Bus) -> Log:
    """The bus's log, as the ledger reads it. Raises BusUnavailable."""
    info = await stream_info(bus, TRUNK)
    return Log(Stream(TRUNK, info.created, info.last_sequence), partial(_behind, bus), partial(resolve, bus))


def _behind(bus: Bus, sequence: int) -> AsyncIterator[Any]:
    return follow(bus, TRUNK, after=sequence)
