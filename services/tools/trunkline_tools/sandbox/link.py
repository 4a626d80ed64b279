"""The executor's end of the line to one zygote: orders out, endings in."""

import asyncio
from typing import cast

from trunkline.contracts.errors import WireViolation
from trunkline_tools.sandbox import frames
from trunkline_tools.sandbox.limits import MIB

LONGEST_GREETING = 8 * MIB


class Link(asyncio.Protocol):
    """`greeting` is the zygote's first word; `closed` is done when there will be no more."""

    def __init__(self, longest: int) -> None:
        loop = asyncio.get_running_loop()
        self.greeting: asyncio.Future[frames.Frame] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._frames = frames.Frames(max(longest, LONGEST_GREETING))
        self._waiting: dict[int, asyncio.Future[frames.Ending | None]] = {}
        self._last = 0
        self._transport: asyncio.Transport | None = None

    def order(self, order: frames.Order) -> tuple[int, asyncio.Future[frames.Ending | None]]:
        """The call's number on this line, and its ending; None when the zygote is gone before it."""
        self._last += 1
        ending: asyncio.Future[frames.Ending | None] = asyncio.get_running_loop().create_future()
        if self._transport is None or self.closed.done():
            ending.set_result(None)
        else:
            self._waiting[self._last] = ending
            self._transport.write(frames.frame(frames.CALL, self._last, frames.pack_order(order)))
        return self._last, ending

    def cancel(self, call: int) -> None:
        if self._waiting.pop(call, None) is not None and self._transport is not None:
            self._transport.write(frames.frame(frames.CANCEL, call, b""))

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._frames.feed(data):
                self._take(frame)
        except WireViolation:
            self.hang_up()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # a lost line is a lost line
        if not self.closed.done():
            self.closed.set_result(None)
        self.greeting.cancel()
        for ending in self._waiting.values():
            if not ending.done():
                ending.set_result(None)
        self._waiting.clear()

    def _take(self, frame: frames.Frame) -> None:
        if frame.kind == frames.DONE:
            ending = self._waiting.pop(frame.call, None)
            if ending is not None and not ending.done():
                ending.set_result(frames.unpack_ending(frame.body))
        elif not self.greeting.done():
            self.greeting.set_result(frame)
