"""Runs the tools of one definitions file: a zygote that has imported it, and a fork of that for each call."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec
import orjson
from pydantic_core import SchemaError

from trunkline.contracts.errors import BrokenFile, InvalidArguments, InvalidName
from trunkline.contracts.ids import tool_token
from trunkline.contracts.messages import Failure
from trunkline.contracts.registry import ToolCard
from trunkline_tools.sandbox import frames
from trunkline_tools.sandbox.arguments import Check, packed
from trunkline_tools.sandbox.contract import Outcome
from trunkline_tools.sandbox.limits import Limits
from trunkline_tools.sandbox.link import Link
from trunkline_tools.sandbox.plain import NotPlainError
from trunkline_tools.sandbox.spawn import Spawned, spawn, stop
from trunkline_tools.sandbox.verdict import failed, verdict

ISOLATION = "process+rlimits"
GRACE = 5.0
CATCH_UP_SECONDS = 1.0
"""To read what was said while this process stood still: once it goes on, its time-outs come first."""
UNREADABLE = (
    *(ValueError, TypeError, LookupError, AttributeError),
    *(msgspec.MsgspecError, SchemaError, InvalidName, NotPlainError),
)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a zygote said that the file declares."""

    version: str
    cards: tuple[ToolCard, ...]
    checks: dict[str, Check]


class ZygoteSandbox:
    """`executor` stands in the cards; `concurrency` bounds the processes; `start_timeout` is in seconds.

    Entering raises BrokenFile. A zygote that dies is replaced at the next call.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        executor: str = "",
        limits: Limits | None = None,
        concurrency: int = 64,
        start_timeout: float = 30.0,
    ) -> None:
        self._path = Path(path).absolute()
        self._executor = executor
        self._limits = limits or Limits()
        self._slots = asyncio.Semaphore(concurrency)
        self._start_timeout = start_timeout
        self._starting = asyncio.Lock()
        self._spawned: Spawned | None = None
        self._offer: Offer | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._link()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stop()

    async def describe(self) -> tuple[ToolCard, ...]:
        await self._link()
        return self._offer.cards if self._offer else ()

    async def call(
        self, tool: str, arguments: dict[str, Any], *, timeout: float, call_id: str, reconcile: bool = False
    ) -> Outcome:
        check = self._offer.checks.get(tool) if self._offer else None
        try:
            body = packed(tool, arguments, check)
            order = frames.Order(timeout, check is not None, reconcile, tool, call_id, body)
        except InvalidArguments as error:
            return Outcome(error=Failure.of(error), isolation=ISOLATION)
        over = time.monotonic() + timeout
        async with self._slots:
            try:
                link = await self._link()
            except BrokenFile as error:
                return Outcome(error=Failure.of(error), isolation=ISOLATION)
            seconds = over - time.monotonic()
            if seconds <= 0:
                return _not_begun(tool, timeout)
            ending = await self._run(link, order._replace(seconds=seconds))
        if ending is None:
            return self._lost(tool)
        return verdict(tool, ending, self._limits, timeout, ISOLATION)

    async def _run(self, link: Link, order: frames.Order) -> frames.Ending | None:
        """The zygote keeps the time-out; when it does not, it is ended itself."""
        number, ending = link.order(order)
        try:
            for seconds in (order.seconds + GRACE, CATCH_UP_SECONDS):
                done, _ = await asyncio.wait([ending], timeout=seconds)
                if done:
                    return ending.result()
            await self._stop(link)
            return None
        finally:
            link.cancel(number)

    def _lost(self, tool: str) -> Outcome:
        what = f"was lost: the sandbox of {self._path.name} died while it ran"
        hint = "The next call starts a new one. Whether this one had its effect is not known."
        return Outcome(error=failed(tool, "killed", what, hint, passing=True), isolation=ISOLATION)

    async def _link(self) -> Link:
        """The line to a living zygote. Raises BrokenFile."""
        spawned = self._spawned
        if spawned is not None and not spawned.link.closed.done():
            return spawned.link
        async with self._starting:
            if self._spawned is not None and not self._spawned.link.closed.done():
                return self._spawned.link
            return await self._start()

    async def _start(self) -> Link:
        await self._stop()
        spawned = await spawn(self._path, self._limits)
        try:
            self._accept(await self._greeting(spawned))
        except BaseException:
            await stop(spawned)
            raise
        self._spawned = spawned
        return spawned.link

    async def _greeting(self, spawned: Spawned) -> frames.Frame:
        try:
            async with asyncio.timeout(self._start_timeout):
                await asyncio.wait([spawned.link.greeting])
        except TimeoutError:
            spawned.process.kill()  # it does not listen
            raise BrokenFile(
                f"{self._path}:1: importing it took longer than {self._start_timeout:g} s.",
                "Keep slow work out of the module's top level.",
            ) from None
        if spawned.link.greeting.cancelled():
            words = spawned.last_words() or "Import the file in a Python of your own to see why."
            raise BrokenFile(f"{self._path}:1: its process ended while it was imported ({await stop(spawned)}).", words)
        return spawned.link.greeting.result()

    def _accept(self, greeting: frames.Frame) -> None:
        """The zygote has run the user's code: its words are checked like any other input. Raises BrokenFile."""
        try:
            told = orjson.loads(greeting.body)
            if greeting.kind == frames.BROKEN:
                raise BrokenFile(str(told["message"]), str(told["hint"]), **told["data"])
            offer = self._read(str(told["version"]), told["tools"])
        except UNREADABLE as error:
            raise BrokenFile(f"{self._path}:1: its process does not speak our protocol: {error}.") from error
        if self._offer is not None and self._offer.version != offer.version:
            raise BrokenFile(f"{self._path}:1: it has changed since it was registered.", "Restart the executor.")
        self._offer = offer

    def _read(self, version: str, tools: list[dict[str, Any]]) -> Offer:
        source = f"{self._path.name}@{version}"
        ours = {"executor": self._executor, "source": source, "isolation": ISOLATION}
        cards, checks = [], {}
        for each in tools:
            tool_token(str(each["tool"]))
            card = msgspec.convert(each | ours, ToolCard)
            cards.append(card)
            if each["fields"] is not None:
                checks[card.tool] = Check(card, each["fields"])
        return Offer(version, tuple(cards), checks)

    async def _stop(self, only: Link | None = None) -> None:
        spawned = self._spawned
        if spawned is None or (only is not None and spawned.link is not only):
            return
        self._spawned = None
        await stop(spawned)


def _not_begun(tool: str, seconds: float) -> Outcome:
    what, hint = f"got no process within {seconds:g} s", "Try again when less is running."
    return Outcome(error=failed(tool, "not_started", what, hint, passing=True), isolation=ISOLATION)
