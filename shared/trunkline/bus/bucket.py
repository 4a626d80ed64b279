"""A key-value bucket (ADR-8) in which each value says how long it lives; a full one forgets what was written first."""

from __future__ import annotations

import base64
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from trunkline.bus.append import EXPECTED_SEQUENCE, PublishAck
from trunkline.bus.bounded import ANSWERS, ANSWERS_BYTES, bounded_bucket
from trunkline.bus.fold import NO_MESSAGES
from trunkline.bus.mailbox import status_of
from trunkline.bus.objects import NOT_FOUND
from trunkline.bus.provision import NAME_IN_USE
from trunkline.contracts.errors import BusUnavailable

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from trunkline.bus.connection import Bus

DELETED_SECONDS = 1
"""A deleted key's last message is an empty value that goes away by itself."""
_ack = msgspec.json.Decoder(PublishAck)


@dataclass(frozen=True, slots=True)
class Value:
    """What stands under a key, and the sequence under which the bucket's stream has it."""

    data: bytes
    sequence: int


class Bucket:
    """Keys are subject tokens with dots between them, values at least one byte. It is made when it is first used, and
    again after it was lost. Every method raises BusUnavailable when an answer takes longer than `wait` seconds.
    """

    def __init__(self, bus: Bus, name: str, *, max_bytes: int, wait: float = 0.5) -> None:
        self._bus = bus
        self._stream = f"KV_{name}"
        self._prefix = f"$KV.{name}."
        self._config = bounded_bucket(name, max_bytes)
        self._wait = wait
        self._made = False

    @classmethod
    def answers(cls, bus: Bus) -> Bucket:
        """The one that is declared with the platform's streams."""
        return cls(bus, ANSWERS, max_bytes=ANSWERS_BYTES)

    async def get(self, key: str) -> Value | None:
        """As the nearest replica has it, which may lag behind."""
        await self._make()
        subject = f"$JS.API.DIRECT.GET.{self._stream}.{self._prefix}{key}"
        with self._may_be_lost():
            reply = await self._bus.mailbox.request(subject, b"", wait=self._wait)
        if status_of(reply) == NO_MESSAGES or not reply.data:
            return None
        return Value(reply.data, int((reply.headers or {})["Nats-Sequence"]))

    async def newest(self, key: str) -> Value | None:
        """As the stream's leader has it; a deleted one is a value without data, whose sequence `put` may expect."""
        await self._make()
        body = {"last_by_subj": f"{self._prefix}{key}"}
        with self._may_be_lost():
            answer = await self._bus.api(f"STREAM.MSG.GET.{self._stream}", body, wait=self._wait)
        if error := answer.get("error"):
            if error.get("err_code") == NOT_FOUND:
                return None
            raise self._refused(error.get("description"))
        return Value(base64.b64decode(answer["message"].get("data", "")), answer["message"]["seq"])

    async def put(self, key: str, data: bytes, ttl: float, *, expected: int | None = None) -> int | None:
        """The new value's sequence; None, and nothing is stored, when another than the `expected` one stands there
        (0: none at all). It lives `ttl` seconds, rounded up to whole ones, and up to one more.
        """
        await self._make()
        headers = {"Nats-TTL": f"{max(1, math.ceil(ttl))}s"}
        if expected is not None:
            headers[EXPECTED_SEQUENCE] = str(expected)
        with self._may_be_lost():
            reply = await self._bus.mailbox.request(f"{self._prefix}{key}", data, headers=headers, wait=self._wait)
        ack = _ack.decode(reply.data)
        if ack.error is None:
            return ack.seq
        if ack.error.conflict:
            return None
        raise self._refused(ack.error.description)

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
            raise self._refused(error.get("description"))
        self._made = True

    @contextlib.contextmanager
    def _may_be_lost(self) -> Iterator[None]:
        try:
            yield
        except BusUnavailable:
            self._made = False
            raise

    def _refused(self, why: object) -> BusUnavailable:
        self._made = False
        return BusUnavailable(f"{self._stream} cannot be used: {why}.", "See the bus's log.")
