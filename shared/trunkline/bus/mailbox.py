"""Requests and their replies over one inbox, without a subscription or a task per request."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from trunkline.contracts.errors import BusUnavailable

if TYPE_CHECKING:
    from nats.aio.subscription import Subscription

STATUS = "Status"
NO_RESPONDERS = "503"


def status_of(message: Msg) -> str | None:
    """The server's status, of a reply to a request; a stored message may have such a header from whoever wrote it."""
    headers = message.headers or {}
    return None if "Nats-Sequence" in headers else headers.get(STATUS)


class Interrupted(BusUnavailable):
    """The connection was lost under way: what was asked may or may not have happened."""


class _Pending:
    """One awaited reply, or a batch of them that ends with a status message."""

    __slots__ = ("batch", "done", "messages")

    def __init__(self, done: asyncio.Future[Msg], batch: bool) -> None:
        self.done = done
        self.batch = batch
        self.messages: list[Msg] = []

    def receive(self, message: Msg) -> bool:
        """Take one message; True when nothing more is expected."""
        if self.batch and status_of(message) is None:
            self.messages.append(message)
            return False
        if not self.done.done():
            self.done.set_result(message)
        return True


class _Slot(asyncio.Future[Msg]):
    """A future to nats-py, which is handed each message at once: no queue, no task, no further turn of the loop."""

    def __init__(self, deliver: Callable[[Msg], None]) -> None:
        super().__init__()
        self._deliver = deliver

    def set_result(self, result: Msg, /) -> None:
        self._deliver(result)


class Mailbox:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._prefix = ""
        self._tokens = itertools.count()
        self._pending: dict[str, _Pending] = {}
        self._subscription: Subscription | None = None

    async def open(self) -> None:
        self._prefix = f"{self._client.new_inbox()}."
        self._subscription = await self._client.subscribe(f"{self._prefix}*", future=_Slot(self._deliver))

    async def request(
        self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None, wait: float = 5.0
    ) -> Msg:
        """One reply. Raises BusUnavailable when nobody listens or nothing comes within `wait` seconds."""
        message, _ = await self._ask(subject, payload, headers, wait, batch=False)
        if status_of(message) == NO_RESPONDERS:
            raise BusUnavailable(
                f"Nobody on the bus answers to {subject}.",
                "JetStream is off, that service is not running, or streams are missing: run `trunkline provision`.",
            )
        return message

    async def collect(self, subject: str, payload: bytes, *, wait: float = 5.0) -> tuple[list[Msg], Msg]:
        """All replies up to the closing status message, and that message. Raises BusUnavailable."""
        last, messages = await self._ask(subject, payload, None, wait, batch=True)
        if status_of(last) == NO_RESPONDERS:
            raise BusUnavailable(f"Nobody on the bus answers to {subject}.", "Run `trunkline provision`.")
        return messages, last

    def interrupt(self) -> None:
        """After a reconnect: what was under way is unknown, so whoever waits should ask again."""
        for pending in self._pending.values():
            if not pending.done.done():
                pending.done.set_exception(Interrupted("The connection to the bus was lost under way."))

    def close(self) -> None:
        self.interrupt()

    async def _ask(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None, wait: float, *, batch: bool
    ) -> tuple[Msg, list[Msg]]:
        token = str(next(self._tokens))
        loop = asyncio.get_running_loop()
        pending = _Pending(loop.create_future(), batch)
        self._pending[token] = pending
        timer = loop.call_later(wait, _expire, pending.done, subject, wait)
        try:
            await self._client.publish(
                subject, payload, reply=self._prefix + token, headers=dict(headers) if headers else None
            )
            return await pending.done, pending.messages
        except BusUnavailable:
            raise
        except (nats.errors.Error, OSError) as error:
            raise _as_unavailable(subject, error) from error
        finally:
            timer.cancel()
            del self._pending[token]

    def _deliver(self, message: Msg) -> None:
        pending = self._pending.get(message.subject[len(self._prefix) :])
        if pending is not None:
            pending.receive(message)


def _expire(done: asyncio.Future[Msg], subject: str, wait: float) -> None:
    if not done.done():
        done.set_exception(Interrupted(f"No answer from the bus to {subject} within {wait:g} s."))


def _as_unavailable(subject: str, error: Exception) -> BusUnavailable:
    if isinstance(error, nats.errors.MaxPayloadError):
        return BusUnavailable(f"A message to {subject} is larger than the bus takes.", "Raise max_payload.")
    return BusUnavailable(f"The bus did not take a message to {subject}: {error}.")
