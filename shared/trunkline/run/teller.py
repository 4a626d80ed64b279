"""A model's text as it is written, told to whoever watches; nothing of it is stored."""

from __future__ import annotations

import asyncio
import time

import msgspec

from trunkline.bus.live import publish_delta
from trunkline.contracts.messages import Delta
from trunkline.run.engine import Engine

FLUSH_SECONDS = 0.04


class Teller:
    """Publishes text as it comes: the first words at once, the rest in pieces of some 40 ms."""

    def __init__(self, engine: Engine, delta: Delta, *, silent: bool) -> None:
        self._engine = engine
        self._delta = delta
        self._pieces: list[str] = []
        self._first: float | None = None
        self._begin: asyncio.Handle | None = None
        self._telling: asyncio.Task[None] | None = None
        self._silent = silent or bool(engine.state.task and engine.state.task.parent)

    def add(self, text: str) -> None:
        if not text:
            return
        if self._first is None:
            self._first = time.perf_counter()
        self._pieces.append(text)
        if self._begin is None and not self._silent:
            self._begin = asyncio.get_running_loop().call_soon(self._start)

    def first_text_ms(self, started: float) -> float | None:
        return None if self._first is None else ms_between(started, self._first)

    async def finish(self) -> None:
        if self._begin:
            self._begin.cancel()
        if self._telling:
            self._telling.cancel()
            await asyncio.wait([self._telling])
        if not self._silent:
            await self._tell()

    def _start(self) -> None:
        self._telling = asyncio.create_task(self._keep_telling(), name="live text")

    async def _keep_telling(self) -> None:
        while True:
            await self._tell()
            await asyncio.sleep(FLUSH_SECONDS)

    async def _tell(self) -> None:
        text, self._pieces = "".join(self._pieces).encode(errors="replace").decode(), []
        if text:
            await publish_delta(self._engine.bus, self._engine.key, msgspec.structs.replace(self._delta, text=text))


def ms_between(began: float, ended: float) -> float:
    return round((ended - began) * 1000, 3)
