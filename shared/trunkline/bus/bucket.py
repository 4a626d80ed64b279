"""A key-value bucket (ADR-8) in which each value says how long it lives; a full one forgets what was written first."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

from trunkline.bus.bounded import ANSWERS, ANSWERS_BYTES, bounded_bucket
from trunkline.bus.fold import NO_MESSAGES
from trunkline.bus.kept import Kept, newest, put
from trunkline.bus.mailbox import status_of
from trunkline.bus.provision import NAME_IN_USE
from trunkline.contracts.errors import BusUnavailable

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from trunkline.bus.connection import Bus

DELETED_SECONDS = 1
"""A deleted key's last message is an empty value that goes away by itself."""


class Bucket:
    """Keys are subject tokens with dots between them, values at least one byte. It is made when it is first used, and
    again after it was lost. Every method raises BusUnavailable when an answer takes longer than `wait` seconds.
    """

    def __init__(self, bus: Bus, name: str, *, max_bytes: int, wait: float = 0.5) -> None:
        self._bus = bus
        self._name = name
        self._stream = f"KV_{name}"
        self._prefix = f"$KV.{name}."
        self._config = bounded_bucket(name, max_bytes)
        self._wait = wait
        self._made = False

    @classmethod
    def answers(cls, bus: Bus) -> Bucket:
        """The one that is declared with the platform's streams."""
        return cls(bus, ANSWERS, max_bytes=ANSWERS_BYTES)

    async def get(self, key: str) -> bytes | None:
        """As the nearest replica has it, which may lag behind."""
        await self._make()
        subject = f"$JS.API.DIRECT.GET.{self._stream}.{self._prefix}{key}"
        with self._may_be_lost():
            reply = await self._bus.mailbox.request(subject, b"", wait=self._wait)
        if status_of(reply) == NO_MESSAGES or not reply.data:
            return None
        return reply.data

    async def newest(self, key: str) -> Kept:
        """As the stream's leader has it; a deleted one has a sequence, which `put` may expect, and no data."""
        await self._make()
        with self._may_be_lost():
            return await newest(self._bus, self._name, key, wait=self._wait)

    async def put(self, key: str, data: bytes, ttl: float, *, expected: int | None = None) -> int | None:
        """For `ttl` seconds, rounded up to whole ones; else as `put` in trunkline.bus.kept."""
        await self._make()
        seconds = max(1, math.ceil(ttl))
        with self._may_be_lost():
            return await put(self._bus, self._name, key, data, expected=expected, seconds=seconds, wait=self._wait)

    async def delete(self, key: str) -> None:
        await self.put(key, b"", DELETED_SECONDS)

    @contextlib.asynccontextmanager
    async def watching(self, key: str, notice: Callable[[bytes], None]) -> AsyncIterator[None]:
        """Calls `notice` with what is being put under the key: a hint, which may get lost and may yet be refused."""

        async def hear(message: Msg) -> None:
            notice(message.data)

        try:
            subscription = await self._bus.client.subscribe(f"{self._prefix}{key}", cb=hear)
        except Exception as error:  # nats-py has no common type for a connection that is closed
            raise BusUnavailable(f"The bus does not let {key} be watched: {error}.") from error
        try:
            yield
        finally:
            with contextlib.suppress(Exception):  # the bus is away, and has forgotten it already
                await subscription.unsubscribe()

    async def _make(self) -> None:
        if self._made:
            return
        answer = await self._bus.api(f"STREAM.CREATE.{self._stream}", self._config, wait=self._wait)
        error = answer.get("error")
        if error and error.get("err_code") != NAME_IN_USE:
            raise BusUnavailable(f"{self._stream} cannot be used: {error.get('description')}.", "See the bus's log.")
        self._made = True

    @contextlib.contextmanager
    def _may_be_lost(self) -> Iterator[None]:
        try:
            yield
        except BusUnavailable:
            self._made = False
            raise
