"""What happens between fork and exit: one call of one tool, in a process of its own."""

import gc
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from pydantic_core import PydanticSerializationError, from_json, to_json

from trunkline.contracts.errors import InvalidArguments
from trunkline.tool import Tool
from trunkline_tools.sandbox import frames, lockdown
from trunkline_tools.sandbox.frames import Order

TEXT_BYTES = 2048
TRACEBACK_LINES = 12
CHUNK = 256 * 1024
REHEARSAL = Order(
    0.0, "", "", b"{}"
)  # brings the pages of memory that every answer writes to, before one is waited for


class Place(NamedTuple):
    """Where a child works: its folder, its line to the zygote, its output, and what it must not keep open."""

    folder: str
    line: socket.socket
    output: int
    foreign: Iterable[int]


def serve_one(tools: Mapping[str, Tool], place: Place, zygote: int, limits: list[tuple[int, int]]) -> NoReturn:
    """Wait for an order, carry it out, reply, end. Never returns, never runs the zygote's exit handlers."""
    code = 70
    try:
        _settle(place, zygote, limits)
        answer(tools, REHEARSAL)
        order = _next_order(place.line)
        before = _cpu_us()
        os.environ["TRUNKLINE_CALL_ID"] = order.call_id  # noqa: TID251  # the tool's
        lockdown.bound_cpu(order.seconds)
        body = answer(tools, order)
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        _reply(place.line, body, before)
        code = 0
    finally:
        os._exit(code)


def answer(tools: Mapping[str, Tool], order: Order) -> bytes:
    """`v` and the value as JSON, or `e` and a failure as JSON."""
    tool = tools.get(order.tool)
    if tool is None:
        return _failed("unknown_tool", f"no tool {order.tool!r} here.", f"There are: {', '.join(tools)}.")
    try:
        return b"v" + to_json(_run(tool, tool.validate(from_json(order.arguments))))
    except InvalidArguments as error:
        return _failed(error.code, error.what, error.hint)
    except PydanticSerializationError as error:
        return _unusable(tool, "bad_output", f"returned what is not JSON: {error}", "Return JSON values or models.")
    except MemoryError:
        return _unusable(tool, "out_of_memory", "ran out of memory", "Ask for less at once, or raise its memory limit.")
    except SystemExit as error:
        return _unusable(
            tool, "exited", f"called sys.exit({error.code!r})", "Return a value or raise an error instead."
        )
    except BaseException as error:  # noqa: BLE001  # whatever the tool raises is its result
        return _raised(tool, error)


def _settle(place: Place, zygote: int, limits: list[tuple[int, int]]) -> None:
    signal.set_wakeup_fd(-1)
    for fd in place.foreign:
        os.close(fd)
    os.dup2(place.output, 1)
    os.dup2(place.output, 2)
    os.chdir(place.folder)
    os.environ.update(HOME=place.folder, TMPDIR=place.folder)  # noqa: TID251  # the tool's
    lockdown.enter_call(zygote, limits)
    gc.enable()


def _next_order(line: socket.socket) -> Order:
    received = frames.Frames(frames.LONGEST_ORDER)
    while data := line.recv(CHUNK):
        for frame in received.feed(data):
            return frames.unpack_order(frame.body)
    os._exit(0)


def _cpu_us() -> int:
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return int(total * 1e6)


def _reply(line: socket.socket, body: bytes, before: int) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reply = frames.pack_reply(frames.Reply(_cpu_us() - before, peak, body))
    line.sendall(frames.frame(frames.REPLY, 0, reply))


def _run(tool: Tool, arguments: dict[str, Any]) -> Any:  # whatever the tool returns
    if not tool.is_async:
        return tool.function(**arguments)
    import asyncio

    return asyncio.run(tool.function(**arguments))


def _raised(tool: Tool, error: BaseException) -> bytes:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # its __str__ is the tool's code, too
        text = "an error that cannot be shown"
    name = type(error).__name__
    lines = traceback.format_exception(error)[-TRACEBACK_LINES:]
    return _unusable(
        tool,
        "raised",
        f"raised {name}: {text}" if text else f"raised {name}",
        "Correct the arguments if they caused it; otherwise the tool has to be mended.",
        error=name,
        traceback="".join(lines)[-TEXT_BYTES:],
    )


def _unusable(tool: Tool, reason: str, what: str, hint: str, **data: str) -> bytes:
    return _failed("tool_failed", f"{tool.name} {what[:TEXT_BYTES]}", hint, reason=reason, **data)


def _failed(code: str, message: str, hint: str, **data: str) -> bytes:
    data = {key: _speakable(text) for key, text in data.items()}
    return b"e" + to_json({"code": code, "message": _speakable(message), "hint": _speakable(hint), "data": data})


def _speakable(text: str) -> str:
    """Without lone surrogates, which UTF-8 cannot say."""
    return text.encode(errors="replace").decode()
