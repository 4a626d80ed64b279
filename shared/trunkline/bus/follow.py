"""Following a stream in order, from any position, through restarts of the server and lost connections."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

import nats.errors
import orjson
import structlog

from trunkline.bus.mailbox import status_of
from trunkline.bus.stored import Delivery, StoredMessage
from trunkline.bus.streams import at_origin
from trunkline.contracts.errors import BusUnavailable

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from trunkline.bus.connection import Bus

log = structlog.get_logger("trunkline.bus")

BATCH = 500
HEARTBEAT = 1.0
CREATE_SECONDS = (3.0, 30.0)
"""How long the server may take to begin: at first, for a cluster without a leader drops what it is asked; at most."""


class _Lost(Exception):
    """The consumer or the connection is gone; begin anew behind what was read."""


async def follow(
    bus: Bus,
    stream: str,
    *,
    after: int = 0,
    filters: Sequence[str] = (),
    latest: bool = False,
    batch: int = BATCH,
    in_touch: Callable[[], None] = lambda: None,
) -> AsyncIterator[list[StoredMessage]]:
    """Batches of stored messages behind sequence `after`, in stream order, each message once; never ends by itself.
    Raises BusUnavailable when the connection is closed for good.

    With `latest`, begins with the newest message of every subject instead. An empty batch says, once after each
    (re)start, that nothing more is stored now. Ask for the next batch only when this one is dealt with. `in_touch` is
    called at least every HEARTBEAT seconds while the server shows that it would tell what is new.
    """
    position = after
    patience, longest = CREATE_SECONDS
    while True:
        reader = _Reader(bus, stream, position, filters, latest=latest and position == 0, batch=batch)
        try:
            async with reader.opened(patience):
                patience = CREATE_SECONDS[0]
                async for messages in reader.batches(in_touch):
                    yield messages
                    if messages:
                        position = messages[-1].sequence
        except (_Lost, BusUnavailable, nats.errors.Error) as error:
            if bus.lost.is_set():
                raise BusUnavailable(f"Stream {stream} cannot be followed: the bus is closed for good.") from error
            log.info("following anew", action="follow_again", stream=stream, after=position, reason=str(error))
            patience = min(2 * patience, longest)
            await asyncio.sleep(0.2)


class _Reader:
    """One ephemeral consumer, and what it delivers."""

    def __init__(self, bus: Bus, stream: str, after: int, filters: Sequence[str], *, latest: bool, batch: int) -> None:
        self._bus = bus
        self._stream = stream
        self._name = f"follow-{os.urandom(6).hex()}"
        self._batch = batch
        self._config: dict[str, Any] = {
            "name": self._name,
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": 30_000_000_000,
            "filter_subjects": list(filters) or [">"],
            "deliver_policy": "last_per_subject" if latest else "by_start_sequence",
        }
        if not latest:
            self._config["opt_start_seq"] = after + 1
        self._expected = 1
        self._pending = 0

    @contextlib.asynccontextmanager
    async def opened(self, patience: float) -> AsyncIterator[None]:
        self._subscription = await self._bus.client.subscribe(
            self._bus.client.new_inbox(), pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        try:
            answer = await self._bus.api(
                f"CONSUMER.CREATE.{self._stream}.{self._name}",
                {"stream_name": self._stream, "config": self._config},
                wait=patience,
            )
            if error := answer.get("error"):
                raise BusUnavailable(f"Stream {self._stream} cannot be followed: {error.get('description')}.")
            self._pending = answer.get("num_pending", 0)
            yield
        finally:
            with contextlib.suppress(Exception):  # the consumer goes by itself when nobody pulls
                await self._subscription.unsubscribe()
                await self._bus.client.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}")

    async def batches(self, in_touch: Callable[[], None]) -> AsyncIterator[list[StoredMessage]]:
        if not self._pending:
            yield []
        said_end = not self._pending
        while True:
            asked = await self._pull()
            async for messages in self._until_pull_ends(asked, in_touch):
                yield messages
                if not said_end and self._pending == 0:
                    said_end = True
                    yield []

    async def _pull(self) -> int:
        body = {"batch": self._batch, "expires": 30_000_000_000, "idle_heartbeat": int(HEARTBEAT * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}"
        await self._bus.client.publish(subject, orjson.dumps(body), reply=self._subscription.subject)
        return self._batch

    async def _until_pull_ends(self, asked: int, in_touch: Callable[[], None]) -> AsyncIterator[list[StoredMessage]]:
        while asked > 0:
            messages: list[StoredMessage] = []
            ended = False
            arrived = await _available(self._subscription)
            in_touch()
            for message in arrived:
                if message.reply.startswith("$JS.ACK."):
                    messages.append(self._in_order(message))
                else:
                    ended = self._ends(message) or ended
            if messages:
                asked -= len(messages)
                yield await at_origin(self._bus, self._stream, messages)
            if ended:
                return

    def _ends(self, message: Msg) -> bool:
        status = status_of(message)
        if status is None or status == "100":
            return False
        if status == "408":
            return True
        raise _Lost(f"status {status} {(message.headers or {}).get('Description', '')}")

    def _in_order(self, message: Msg) -> StoredMessage:
        delivery = Delivery.parse(message.reply)
        if delivery.consumer_sequence != self._expected:
            raise _Lost(f"delivery {delivery.consumer_sequence} came where {self._expected} was due")
        self._expected += 1
        self._pending = delivery.pending
        return StoredMessage(message.subject, delivery.sequence, delivery.at, message.data, message.headers)


async def _available(subscription: Subscription) -> list[Msg]:
    """What has arrived, waiting for the first. Raises _Lost when not even a heartbeat comes."""
    queue = subscription._pending_queue  # noqa: SLF001  # its public iterator cannot say what is there already
    try:
        async with asyncio.timeout(3 * HEARTBEAT):
            arrived = [await queue.get()]
    except TimeoutError as error:
        raise _Lost("no heartbeat") from error
    while not queue.empty():
        arrived.append(queue.get_nowait())
    for message in arrived:
        subscription._pending_size -= len(message.data)  # noqa: SLF001
        queue.task_done()
    return arrived
