"""The lease loop: as many messages as there are free slots, kept alive while they are worked on, acknowledged last.

A lease is a message that this process answers for. The server takes it back when neither a heartbeat nor an
acknowledgement came within the consumer's AckWait, and delivers it to somebody else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import orjson
import structlog

from trunkline.bus.consumers import Consumer, ensure_consumer
from trunkline.bus.stored import Delivery, StoredMessage
from trunkline.contracts.errors import BusUnavailable, Closing, TryAgain, WireViolation

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from trunkline.bus.connection import Bus

log = structlog.get_logger("trunkline.lease")

PULL_SECONDS = 30.0
IDLE_HEARTBEAT_SECONDS = 5.0
RETRY_SECONDS = (0.2, 0.5, 1, 2, 4, 8, 15, 30)
MAX_DELIVERIES = 12


class Lease:
    """A delivered message. Settle it once: `ack`, `retry` or `term`; one that is never settled comes again."""

    def __init__(self, bus: Bus, message: Msg) -> None:
        self._bus = bus
        self._reply = message.reply
        delivery = Delivery.parse(message.reply)
        self.message = StoredMessage(message.subject, delivery.sequence, delivery.at, message.data, message.headers)
        self.sequence = delivery.sequence
        self.delivery = delivery.delivered
        self.settled = False

    async def ack(self) -> None:
        """Done. Waits until the server knows (it may still deliver again: an ack proves nothing)."""
        self.settled = True
        with contextlib.suppress(BusUnavailable):
            await self._bus.mailbox.request(self._reply, b"+ACK", wait=2.0)

    async def retry(self, seconds: float) -> None:
        """Not now: deliver again after `seconds`. A plain nak would ignore any backoff."""
        self.settled = True
        await self._bus.client.publish(self._reply, b"-NAK " + orjson.dumps({"delay": int(seconds * 1e9)}))

    async def term(self) -> None:
        """Never again; what was to be kept of it has been kept."""
        self.settled = True
        await self._bus.client.publish(self._reply, b"+TERM")

    async def heartbeat(self) -> None:
        if not self.settled:
            await self._bus.client.publish(self._reply, b"+WPI")


Handler = Callable[[Lease], Awaitable[None]]
Park = Callable[[Lease, Exception], Awaitable[None]]


class LeaseLoop:
    """Works on one consumer with `slots` messages at a time. Use as `async with LeaseLoop(...).running():`."""

    def __init__(
        self,
        bus: Bus,
        consumer: Consumer,
        handler: Handler,
        *,
        park: Park,
        slots: int = 16,
        drain_seconds: float = 20.0,
    ) -> None:
        self._bus = bus
        self._consumer = consumer
        self._handler = handler
        self._park = park
        self._slots = slots
        self._drain_seconds = drain_seconds
        self._active: dict[asyncio.Task[None], Lease] = {}
        self._asked = 0
        self._heard = 0.0
        self._refill = asyncio.Event()
        self._missing = False
        self._draining = False
        self._inbox = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[LeaseLoop]:
        """Pull while inside; on leaving, finish what is under way for at most `drain_seconds`."""
        await ensure_consumer(self._bus, self._consumer)
        self._inbox = self._bus.client.new_inbox()
        subscription = await self._bus.client.subscribe(
            self._inbox, cb=self._receive, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        self._bus.on_reconnect.append(self._forget_pulls)
        loops = [
            asyncio.create_task(self._keep_pulling(), name=f"pull {self._consumer.name}"),
            asyncio.create_task(self._keep_alive(), name=f"heartbeat {self._consumer.name}"),
        ]
        self._refill.set()
        try:
            yield self
        finally:
            self._draining = True
            self._bus.on_reconnect.remove(self._forget_pulls)
            await _cancelled(loops[:1])
            await self._drain()
            await _cancelled(loops[1:])
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()

    @property
    def busy(self) -> int:
        return len(self._active)

    async def _keep_pulling(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_HEARTBEAT_SECONDS):
                    await self._refill.wait()
            self._refill.clear()
            try:
                await self._pull()
            except Exception as error:  # noqa: BLE001  # the loop must outlive a bus that is away
                log.warning("cannot pull; trying again", action="pull_failed", error=str(error))
                await asyncio.sleep(0.5)
                self._refill.set()

    async def _pull(self) -> None:
        if self._missing:
            await ensure_consumer(self._bus, self._consumer)
            self._missing = False
        now = asyncio.get_running_loop().time()
        if self._asked and now - self._heard > 3 * IDLE_HEARTBEAT_SECONDS:
            self._asked = 0
        wanted = self._slots - len(self._active) - self._asked
        if wanted <= 0 or (self._asked and wanted < self._slots // 4):
            return
        body = {
            "batch": wanted,
            "expires": int(PULL_SECONDS * 1e9),
            "idle_heartbeat": int(IDLE_HEARTBEAT_SECONDS * 1e9),
        }
        if not self._asked:
            self._heard = now
        self._asked += wanted
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._consumer.stream}.{self._consumer.name}"
        await self._bus.client.publish(subject, orjson.dumps(body), reply=self._inbox)

    async def _receive(self, message: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        if message.headers and "Status" in message.headers and not message.reply.startswith("$JS.ACK"):
            self._receive_status(message)
            return
        self._asked = max(0, self._asked - 1)
        lease = Lease(self._bus, message)
        if self._draining or len(self._active) >= self._slots:
            await lease.retry(0.0)
            return
        task = asyncio.create_task(self._work(lease), name=f"{self._consumer.name} {lease.sequence}")
        self._active[task] = lease
        task.add_done_callback(self._finished)

    def _receive_status(self, message: Msg) -> None:
        headers = message.headers or {}
        status = headers["Status"]
        if status == "100":
            return
        if status == "503" or "deleted" in headers.get("Description", "").lower():
            self._missing = True
        returned = headers.get("Nats-Pending-Messages")
        self._asked = max(0, self._asked - int(returned)) if returned else 0
        self._refill.set()

    def _forget_pulls(self) -> None:
        self._asked = 0
        self._refill.set()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._active.pop(task, None)
        self._refill.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("a lease ended badly", action="lease_failed", exc_info=error)

    async def _work(self, lease: Lease) -> None:
        try:
            await self._handler(lease)
        except Closing as error:
            log.info("left to others", action="dropped", subject=lease.message.subject, reason=error.what)
        except WireViolation as error:
            await self._give_up(lease, error)
        except Exception as error:  # noqa: BLE001  # whatever it is, the message must not be lost
            await self._try_later(lease, error)

    async def _try_later(self, lease: Lease, error: Exception) -> None:
        known = isinstance(error, TryAgain)
        log.warning(
            "failed; will be tried again",
            action="retry",
            subject=lease.message.subject,
            delivery=lease.delivery,
            error=str(error) or repr(error),
            exc_info=None if known else error,
        )
        if lease.delivery >= MAX_DELIVERIES:
            await self._give_up(lease, error)
        elif not lease.settled:
            await lease.retry(RETRY_SECONDS[min(lease.delivery, len(RETRY_SECONDS)) - 1])

    async def _give_up(self, lease: Lease, error: Exception) -> None:
        """Park the message whole, with its reason, and only then let go of it."""
        try:
            await self._park(lease, error)
        except BusUnavailable as bus_error:
            log.warning("cannot park now", action="park_failed", error=str(bus_error))
            return
        await lease.term()

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._consumer.ack_wait / 3)
            for lease in list(self._active.values()):
                try:
                    await lease.heartbeat()
                except Exception as error:  # noqa: BLE001  # the bus is away; the next beat comes
                    log.info("no heartbeat", action="heartbeat_failed", error=str(error))
                    break

    async def _drain(self) -> None:
        if self._active:
            _, left = await asyncio.wait(self._active, timeout=self._drain_seconds)
            await _cancelled(list(left))


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
