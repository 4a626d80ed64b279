"""The lease loop: as many messages as there are free slots, kept alive while they are worked on, acknowledged last.

A lease is a message that this process answers for. The server takes it back when neither a heartbeat nor an
acknowledgement came within the consumer's AckWait, and delivers it to somebody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import nats.errors
import orjson
import structlog

from trunkline.bus.consumers import Consumer, ensure_consumer
from trunkline.bus.mailbox import NO_RESPONDERS, status_of
from trunkline.bus.stored import Delivery, StoredMessage
from trunkline.contracts.errors import BusUnavailable, Closing, TryAgain, WireViolation

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

    from trunkline.bus.connection import Bus

log = structlog.get_logger("trunkline.lease")

PULL_SECONDS = 6.0
"""For so long, somebody who was cut off from the network or stands still is sent messages, which then wait for their
AckWait. Less than two thirds of AckWait: what they held when that began is then not sent to them again.
"""
IDLE_HEARTBEAT_SECONDS = 2.0
RETRY_SECONDS = (0.2, 0.5, 1, 2, 4, 8, 15, 30)
MAX_DELIVERIES = 12
"""A message whose handler has failed so often is parked. That the bus was away counts for nothing: the message is kept
meanwhile, and tried again here.
"""
MOST_DELIVERIES = MAX_DELIVERIES + 8
"""A message that comes more often is parked unseen: its handler kills the process, or somebody is always ahead."""
BOUNCE_SECONDS = 1.0
CLOSE_SECONDS = 2.0
PARKED = "parked"
"""Why a message is terminated, as the server's advisory of it repeats."""


class Lease:
    """A delivered message. Settle it once: `ack`, `retry` or `term`; one that is never settled comes again.

    `fresh`: nobody has had it before. A `delivery` of 1 does not say so: a consumer that was made anew, when its
    stream's last sequence was `created_at`, counts from 1 what an earlier one may have delivered.
    """

    def __init__(self, bus: Bus, message: Msg, created_at: int = 0) -> None:
        self._bus = bus
        self.reply = message.reply
        delivery = Delivery.parse(message.reply)
        self.message = StoredMessage(message.subject, delivery.sequence, delivery.at, message.data, message.headers)
        self.sequence = delivery.sequence
        self.delivery = delivery.delivered
        self.fresh = delivery.delivered == 1 and delivery.sequence > created_at
        self.settled = False

    def renew(self, delivered: Lease) -> None:
        """It was delivered to us once more, as no heartbeat had come through: that delivery is the one that counts."""
        self.reply = delivered.reply

    async def ack(self) -> None:
        """Done. Waits until the server knows (it may still deliver again: an ack proves nothing)."""
        self.settled = True
        with contextlib.suppress(BusUnavailable):
            await self._bus.mailbox.request(self.reply, b"+ACK", wait=2.0)

    async def retry(self, seconds: float) -> None:
        """Not now: deliver again after `seconds`. A plain nak would ignore any backoff."""
        self.settled = True
        await self._bus.client.publish(self.reply, b"-NAK " + orjson.dumps({"delay": int(seconds * 1e9)}))

    async def term(self) -> None:
        """Never again; what was to be kept of it has been kept."""
        self.settled = True
        await self._bus.client.publish(self.reply, f"+TERM {PARKED}".encode())

    async def heartbeat(self) -> None:
        if not self.settled:
            await self._bus.client.publish(self.reply, b"+WPI")


Handler = Callable[[Lease], Awaitable[None]]
Park = Callable[[Lease, Exception], Awaitable[None]]


class _Pulls:
    """Pull requests that the server has yet to fulfil, and the inbox to which it sends. It forgets them when nobody
    listens there any more; nats-py listens again after every reconnect, so a new connection wants new ones.
    """

    def __init__(
        self, bus: Bus, consumer: Consumer, deliver: Callable[[Msg], Awaitable[None]], refill: asyncio.Event
    ) -> None:
        self._bus = bus
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}"
        self._deliver = deliver
        self._refill = refill
        self._inbox = bus.client.new_inbox()
        self._subscription: Subscription | None = None
        self._heard = 0.0
        self.asked = 0
        self.consumer_missing = False

    async def open(self) -> None:
        self._subscription = await self._bus.client.subscribe(
            self._inbox, cb=self._receive, pending_msgs_limit=-1, pending_bytes_limit=-1
        )

    async def ask(self, count: int) -> None:
        body = {
            "batch": count,
            "expires": int(PULL_SECONDS * 1e9),
            "idle_heartbeat": int(IDLE_HEARTBEAT_SECONDS * 1e9),
        }
        if not self.asked:
            self._heard = asyncio.get_running_loop().time()
        self.asked += count
        await self._bus.client.publish(self._subject, orjson.dumps(body), reply=self._inbox)

    @property
    def silent(self) -> bool:
        """Whether not even the idle heartbeats come that were asked for."""
        return self.asked > 0 and asyncio.get_running_loop().time() - self._heard > 3 * IDLE_HEARTBEAT_SECONDS

    async def close(self) -> None:
        """Ask for nothing any more; what the server has sent already is still delivered."""
        if self._subscription is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._subscription.drain()  # type: ignore[no-untyped-call]
        except (TimeoutError, OSError, nats.errors.Error) as error:
            log.info("left an inbox without a word", action="undrained", error=str(error) or repr(error))
        finally:  # what nats-py itself does only when nothing went wrong
            self._bus.client._remove_sub(self._subscription._id)  # noqa: SLF001
            self._subscription._stop_processing()  # noqa: SLF001

    async def _receive(self, message: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        if message.reply.startswith("$JS.ACK."):
            self.asked = max(0, self.asked - 1)
            await self._deliver(message)
        elif (status := status_of(message)) not in (None, "100"):
            self._end(message.headers or {}, status)

    def _end(self, headers: Mapping[str, str], status: str | None) -> None:
        """A pull is over: fulfilled by half, refused, or for a consumer that is gone."""
        if status == NO_RESPONDERS or "deleted" in headers.get("Description", "").lower():
            self.consumer_missing = True
        returned = headers.get("Nats-Pending-Messages")
        self.asked = max(0, self.asked - int(returned)) if returned else 0
        self._refill.set()


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
        self._refill = asyncio.Event()
        self._pulls: _Pulls | None = None
        self._anew = False
        self._created_at = 0
        self._draining = asyncio.Event()
        self._dropping = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[LeaseLoop]:
        """Pull while inside; on leaving, finish what is under way for at most `drain_seconds`."""
        await self._new_pulls()
        self._bus.on_reconnect.append(self._pull_anew)
        loops = [
            asyncio.create_task(self._keep_pulling(), name=f"pull {self._consumer.name}"),
            asyncio.create_task(self._keep_alive(), name=f"heartbeat {self._consumer.name}"),
        ]
        self._refill.set()
        try:
            yield self
        finally:
            self._draining.set()
            self._bus.on_reconnect.remove(self._pull_anew)
            await _cancelled(loops[:1])
            if self._pulls is not None:
                await self._pulls.close()
            await self._drain()
            await _cancelled(loops[1:])

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
        pulls = self._pulls
        if pulls is None or self._anew or pulls.consumer_missing or pulls.silent:
            pulls = await self._new_pulls()
        wanted = self._slots - len(self._active) - pulls.asked
        if wanted > 0 and not (pulls.asked and wanted < self._slots // 4):
            await pulls.ask(wanted)

    async def _new_pulls(self) -> _Pulls:
        """Ends the old ones first, and looks whether the consumer is still there, and still the same."""
        old, self._pulls, self._anew = self._pulls, None, False
        if old is not None:
            await old.close()
        self._created_at = (await ensure_consumer(self._bus, self._consumer)).created_at
        pulls = _Pulls(self._bus, self._consumer, self.receive, self._refill)
        await pulls.open()
        self._pulls = pulls
        return pulls

    def _pull_anew(self) -> None:
        self._anew = True
        self._refill.set()

    async def receive(self, message: Msg) -> None:
        """Work on a message that was pulled; it comes again soon when there is no slot for it."""
        lease = Lease(self._bus, message, self._created_at)
        if not self._take(lease):
            await lease.retry(BOUNCE_SECONDS)

    def take(self, message: Msg) -> bool:
        """Work on a message that somebody else was delivered; False, and nothing is done, when there is no slot."""
        return self._take(Lease(self._bus, message, self._created_at))

    def _take(self, lease: Lease) -> bool:
        held = self._held(lease)
        if held is not None:
            held.renew(lease)
            return True
        if self._draining.is_set() or len(self._active) >= self._slots:
            return False
        task = asyncio.create_task(self._work(lease), name=f"{self._consumer.name} {lease.sequence}")
        self._active[task] = lease
        task.add_done_callback(self._finished)
        return True

    def _held(self, lease: Lease) -> Lease | None:
        """The one under which we work on this very message: what it has paid for must not be paid again beside it."""
        same = (each for each in self._active.values() if each.sequence == lease.sequence and not each.settled)
        return next(same, None)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._active.pop(task, None)
        self._refill.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("a lease ended badly", action="lease_failed", exc_info=error)

    async def _work(self, lease: Lease) -> None:
        if lease.delivery > MOST_DELIVERIES:
            await self._give_up(lease, _going_nowhere(lease))
            return
        try:
            await self._handle(lease)
        except asyncio.CancelledError:
            if self._dropping:
                raise
            await self._try_later(lease, RuntimeError("The handler was cancelled by something of its own."))
        except Closing as error:
            log.info("left to others", action="dropped", subject=lease.message.subject, reason=error.what)
        except WireViolation as error:
            await self._give_up(lease, error)
        except Exception as error:  # noqa: BLE001  # whatever it is, the message must not be lost
            await self._try_later(lease, error)

    async def _handle(self, lease: Lease) -> None:
        """Kept and tried again while the bus is away: an outage uses up no deliveries, however long it takes."""
        for pause in itertools.chain(RETRY_SECONDS, itertools.repeat(RETRY_SECONDS[-1])):
            try:
                await self._handler(lease)
            except BusUnavailable as error:
                subject = lease.message.subject
                log.warning("the bus failed", action="outage", subject=subject, seconds=pause, error=str(error))
                if lease.settled or await self._drains_within(pause):
                    raise
                lease.fresh = False
            else:
                return

    async def _drains_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._draining.wait()
        return self._draining.is_set()

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
        if lease.delivery >= MAX_DELIVERIES and not isinstance(error, BusUnavailable):
            await self._give_up(lease, error)
        elif not lease.settled:
            await lease.retry(RETRY_SECONDS[min(lease.delivery, len(RETRY_SECONDS)) - 1])

    async def _give_up(self, lease: Lease, error: Exception) -> None:
        """Park the message whole, with its reason, and only then let go of it."""
        try:
            await self._park(lease, error)
            await lease.term()
        except Exception as failure:  # un-acked, it comes again
            known = isinstance(failure, TryAgain)
            reason = str(failure) or repr(failure)
            log.warning("cannot park now", action="park_failed", error=reason, exc_info=None if known else failure)

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
            seconds = 0.0 if self._bus.lost.is_set() else self._drain_seconds
            _, left = await asyncio.wait(self._active, timeout=seconds)
            self._dropping = True
            await _cancelled(list(left))


@contextlib.asynccontextmanager
async def all_running(loops: Iterable[LeaseLoop]) -> AsyncIterator[None]:
    """Run all of them while inside; on leaving, they finish side by side, so that the time to drain is one for all."""
    async with contextlib.AsyncExitStack() as together:
        leaving: list[contextlib.AsyncExitStack] = []

        async def leave() -> None:
            await asyncio.gather(*(each.aclose() for each in leaving))

        together.push_async_callback(leave)
        for loop in loops:
            leaving.append(contextlib.AsyncExitStack())
            await leaving[-1].enter_async_context(loop.running())
        yield


def _going_nowhere(lease: Lease) -> Exception:
    return RuntimeError(f"It was delivered {lease.delivery} times without getting anywhere.")


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
