"""One connection to the bus: it comes back by itself, and says in one line what is wrong with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import nats
import nats.errors
import orjson
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from trunkline.bus.mailbox import Mailbox
from trunkline.contracts.errors import BusUnavailable

log = structlog.get_logger("trunkline.bus")

RECONNECT_WAIT = 0.25
PING_SECONDS = 5
"""A connection without an answer to two pings is given up, and made anew."""
NO_BUS_HINT = "Start one with `trunkline up`, or set NATS_URL to the bus that you mean."


class _Client(Client):
    """nats-py, whose read loop no message ends: the log may hold any bytes."""

    when_closed: Callable[[], None] | None = None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        """As nats-py does it, for subjects that are not UTF-8 too; whoever parses such a one finds it bad."""
        return self.msg_class(
            subject=subject.decode("utf-8", "replace"),
            reply=reply.decode("utf-8", "replace"),
            data=data,
            headers=headers,
            _client=self,
            _sid=sid,
        )

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        """As nats-py does it; of a block that it cannot read, the lines that are headers."""
        try:
            return await super()._process_headers(headers)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with them, the next message must be read
            log.info("unreadable headers", action="bad_headers", error=repr(error))
            return self._parse_header_lines(headers or b"") or None

    async def _process_pong(self) -> None:
        """As nats-py does it, which a reply to a flush that was given up would keep from ever reading again."""
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        """As nats-py does it, which on some of the ways here tells nobody."""
        try:
            await super()._close(status, do_cbs)
        finally:
            if self.when_closed is not None:
                self.when_closed()

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """As nats-py does it, without looking at every character of every name: a fold has some fifty headers."""
        lines = (line.partition(":") for line in raw.decode("utf-8", "replace").split("\r\n"))
        return {name.strip(): value.strip() for name, colon, value in lines if colon}


def servers_of(url: str) -> list[str]:
    """The servers of a cluster, which `url` names with commas between them; which one is taken first is by chance."""
    return [server for part in url.split(",") if (server := part.strip())] or [url]


class Bus:
    """A connected client. Open it with `async with Bus.open(url) as bus`; several servers have commas between them.

    `trouble` says why the log takes no writes at present; it is empty otherwise.
    `lost` is set when the connection is closed for good, as after an error that the server reports: nothing works
    from then on.
    """

    def __init__(self, client: _Client, url: str) -> None:
        self.client = client
        self.url = url
        self.mailbox = Mailbox(client)
        self.on_reconnect: list[Callable[[], None]] = []
        self.lost = asyncio.Event()
        self.trouble = ""
        self._closing = False
        client.when_closed = self._closed

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, url: str, *, name: str = "trunkline", wait: float = 5.0) -> AsyncIterator[Bus]:
        """Connect within `wait` seconds. Raises BusUnavailable."""
        bus = cls(_Client(), url)
        await bus._connect(name, wait)
        try:
            await bus.mailbox.open()
            yield bus
        finally:
            await bus._close()

    @property
    def clustered(self) -> bool:
        """Whether the server is one of several."""
        return bool(self.client._server_info.get("cluster"))  # noqa: SLF001  # nats-py tells it nowhere else

    async def api(self, call: str, body: dict[str, Any] | None = None, *, wait: float = 5.0) -> dict[str, Any]:
        """One call of the JetStream API; its answer, which may hold an `error`. Raises BusUnavailable."""
        payload = orjson.dumps(body) if body is not None else b""
        reply = await self.mailbox.request(f"$JS.API.{call}", payload, wait=wait)
        answer: dict[str, Any] = orjson.loads(reply.data)
        return answer

    async def check_jetstream(self) -> None:
        """Raises BusUnavailable when the server has no JetStream."""
        try:
            answer = await self.api("INFO", wait=3.0)
        except BusUnavailable as error:
            raise BusUnavailable(f"The bus at {self.url} has no JetStream.", "Start nats-server with -js.") from error
        if "error" in answer:
            raise BusUnavailable(
                f"The bus at {self.url} refuses JetStream: {answer['error'].get('description')}.",
                "Enable JetStream for this account.",
            )

    async def _connect(self, name: str, wait: float) -> None:
        last_error: list[BaseException] = []

        async def on_error(error: Exception) -> None:
            last_error[:] = [error]
            if self.client.is_connected:
                log.warning("the bus reports a problem", action="bus_error", error=str(error) or repr(error))

        try:
            async with asyncio.timeout(wait):
                await self.client.connect(
                    servers=servers_of(self.url),
                    name=name,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=RECONNECT_WAIT,  # type: ignore[arg-type]  # any number of seconds works
                    connect_timeout=2,
                    ping_interval=PING_SECONDS,
                    error_cb=on_error,
                    reconnected_cb=self._reconnected,
                    disconnected_cb=self._disconnected,
                )
        except (TimeoutError, OSError, ValueError, nats.errors.Error) as error:
            self._closing = True
            await _quietly(self.client.close())
            cause = last_error[0] if last_error else error
            reason = str(cause) or "no answer in time"
            raise BusUnavailable(f"No bus at {self.url}: {reason}.", NO_BUS_HINT) from error

    async def _disconnected(self) -> None:
        if not self._closing:
            log.warning("lost the bus; trying again", action="bus_disconnected", url=self.url)

    async def _reconnected(self) -> None:
        log.info("connected to the bus again", action="bus_reconnected", url=self.url)
        self.mailbox.interrupt()
        for notify in self.on_reconnect:
            notify()

    def _closed(self) -> None:
        if self._closing or self.lost.is_set():
            return
        error = self.client.last_error
        log.error("the bus is closed for good", action="bus_lost", url=self.url, error=str(error) if error else "")
        self.lost.set()
        self.mailbox.interrupt()

    async def _close(self) -> None:
        self._closing = True
        self.mailbox.close()
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
            async with asyncio.timeout(3):
                if self.client.is_connected:
                    await self.client.flush(timeout=2)
        await _quietly(self.client.close())


async def _quietly(closing: Any) -> None:  # any awaitable
    with contextlib.suppress(nats.errors.Error, OSError, TimeoutError, asyncio.CancelledError):
        await closing
