"""What an executor and its zygote say to each other: length, kind and call, then a body. Never pickle."""

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from trunkline.contracts.errors import WireViolation

READY = 1  # zygote: the tools of the file, as JSON
BROKEN = 2  # zygote: why the file did not load, as JSON
CALL = 3  # executor: run this
CANCEL = 4  # executor: end this call
DONE = 5  # zygote: the call is over

UNTOUCHED = 0  # the zygote let the call end by itself
TIMED_OUT = 1
FLOODED = 2
CANCELLED = 3
NOT_STARTED = 4

LONGEST_ORDER = 16 * 1024 * 1024

_header = struct.Struct("!IBQ")
_call = struct.Struct("!d??HH")
_done = struct.Struct("!iBQQQQI")


class Frame(NamedTuple):
    kind: int
    call: int
    body: bytes


class Order(NamedTuple):
    """The body of CALL. `seconds` is the total time-out, `arguments` JSON; `checked` ones fit the signature. To
    `reconcile` is to say what became of an earlier run of the tool.
    """

    seconds: float
    checked: bool
    reconcile: bool
    tool: str
    call_id: str
    arguments: bytes


class Ending(NamedTuple):
    """The body of DONE. `status` is wait(2)'s, `reply` what the child wrote, `tail` the end of its output."""

    status: int
    cause: int
    duration_us: int
    cpu_us: int
    max_rss_kib: int
    output_bytes: int
    reply: bytes
    tail: bytes


def frame(kind: int, call: int, body: bytes) -> bytes:
    return _header.pack(len(body), kind, call) + body


def send(fd: int, kind: int, call: int, body: bytes) -> None:
    """Raises ConnectionError."""
    rest = memoryview(frame(kind, call, body))
    while rest:
        rest = rest[os.write(fd, rest) :]


class Frames:
    """Cuts a stream of bytes into frames."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Raises WireViolation for a frame longer than allowed."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _header.size:
            length, kind, call = _header.unpack_from(buffer)
            if length > self._longest:
                raise WireViolation(f"a frame of {length} bytes, where {self._longest} are allowed.")
            end = _header.size + length
            if len(buffer) < end:
                return
            body = bytes(buffer[_header.size : end])
            del buffer[:end]
            yield Frame(kind, call, body)


def pack_order(order: Order) -> bytes:
    tool, call_id = order.tool.encode(), order.call_id.encode()
    header = _call.pack(order.seconds, order.checked, order.reconcile, len(tool), len(call_id))
    return header + tool + call_id + order.arguments


def unpack_order(body: bytes) -> Order:
    seconds, checked, reconcile, tool, call_id = _call.unpack_from(body)
    start = _call.size
    middle = start + tool
    end = middle + call_id
    return Order(seconds, checked, reconcile, body[start:middle].decode(), body[middle:end].decode(), body[end:])


def pack_ending(ending: Ending) -> bytes:
    return _done.pack(*ending[:6], len(ending.reply)) + ending.reply + ending.tail


def unpack_ending(body: bytes) -> Ending:
    """Raises WireViolation."""
    try:
        status, cause, duration, cpu, rss, output, length = _done.unpack_from(body)
    except struct.error as error:
        raise WireViolation(f"not the end of a call: {error}.") from error
    end = _done.size + length
    return Ending(status, cause, duration, cpu, rss, output, body[_done.size : end], body[end:])
