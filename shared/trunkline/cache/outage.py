"""A server that is away is left alone for a while, then asked once; whoever comes meanwhile does not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

log = structlog.get_logger("trunkline.cache")

T = TypeVar("T")


class Outage:
    """Of the server `name`, which has `patience` seconds for each answer, and after a failure `pause` seconds' rest.

    It says once that the server is away, and once that it is back.
    """

    def __init__(self, name: str, *, patience: float | None, pause: float = 1.0) -> None:
        self._name = name
        self._patience = patience
        self._pause = pause
        self._next: float | None = None

    async def attempt(self, operation: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """What `operation` comes to; `otherwise` when the server does not answer, which is an OSError of any kind."""
        if not self._may_ask():
            return otherwise
        try:
            async with asyncio.timeout(self._patience):
                done = await operation()
        except OSError as error:
            self._fail(error)
            return otherwise
        self._recover()
        return done

    def _may_ask(self) -> bool:
        if self._next is None:
            return True
        now = asyncio.get_running_loop().time()
        if now < self._next:
            return False
        self._next = now + self._pause
        return True

    def _fail(self, error: OSError) -> None:
        if self._next is None:
            reason = str(error) or f"no answer within {self._patience:g} s"
            log.warning("the cache is away; everything is a miss", action="cache_away", cache=self._name, error=reason)
        self._next = asyncio.get_running_loop().time() + self._pause

    def _recover(self) -> None:
        if self._next is not None:
            self._next = None
            log.info("the cache is back", action="cache_back", cache=self._name)
