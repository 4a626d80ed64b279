"""What happens between fork and exit: one call of one tool, in a process of its own.

Each page of memory that is written to here is copied, at microseconds each: so few objects, and no abstract classes.
"""

import gc
import json
import math
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from inspect import iscoroutinefunction
from typing import Any, NamedTuple, NoReturn

from trunkline.contracts.errors import InvalidArguments, TryAgain
from trunkline.tool import CALL_ID, Done, Function, NotDone, Tool, tool
from trunkline_tools.sandbox import lockdown
from trunkline_tools.sandbox.frames import Order

TEXT_BYTES = 2048
TRACEBACK_LINES = 12
REHEARSALS = 16
PASSING = (OSError, TryAgain)
"""What a tool raises that may work a little later: an OSError is a connection, a time-out, or the machine."""
LASTING = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@tool
def echo(value: int) -> int:
    return value


class Place(NamedTuple):
    """Where a child works: its folder, its files for output and reply, and what it must not keep open."""

    folder: str
    output: int
    reply: int
    foreign: list[int]
    reply_bytes: int


def serve_one(
    tools: Mapping[str, Tool], order: Order, place: Place, zygote: int, limits: list[tuple[int, int]]
) -> NoReturn:
    """Carry out the order, write the reply, end. Never returns, never runs the zygote's exit handlers."""
    code = 70
    try:
        _settle(place, order.call_id)
        lockdown.enter_call(zygote, limits, order.seconds)
        gc.enable()
        body = answer(tools, order)
        _flush()
        _write(place.reply, body[: place.reply_bytes + 1])
        code = 0
    finally:
        os._exit(code)


def answer(tools: Mapping[str, Tool], order: Order) -> bytes:
    """`v` and the value as JSON, or `e` and a failure as JSON."""
    tool = tools.get(order.tool)
    if tool is None:
        return _failed("unknown_tool", f"no tool {order.tool!r} here.", f"There are: {', '.join(tools)}.")
    try:
        arguments = json.loads(order.arguments)
        given = arguments if order.checked else tool.validate(arguments)
        return b"v" + _json(_reconciled(tool, given) if order.reconcile else _run(tool.function, given))
    except _UnusableValueError as error:
        return _unusable(tool, "bad_output", f"returned what is not JSON: {error}", "Return JSON values or models.")
    except InvalidArguments as error:
        return _failed(error.code, error.what, error.hint)
    except MemoryError:
        return _unusable(tool, "out_of_memory", "ran out of memory", "Ask for less at once, or raise its memory limit.")
    except SystemExit as error:
        return _unusable(
            tool, "exited", f"called sys.exit({error.code!r})", "Return a value or raise an error instead."
        )
    except BaseException as error:  # noqa: BLE001  # whatever the tool raises is its result
        return _raised(tool, error)


def rehearse() -> None:
    """In the zygote: what the interpreter looks up or rewrites on first use, it would do again in every child."""
    order = Order(1.0, True, False, "echo", "", b'{"value":1}')
    home = os.environ["HOME"]  # noqa: TID251  # the same again
    for _ in range(REHEARSALS):
        _name(home, "")
        answer({"echo": echo}, order)
        _flush()
    del os.environ[CALL_ID]  # noqa: TID251  # of no call


class _UnusableValueError(Exception):
    pass


def _settle(place: Place, call_id: str) -> None:
    signal.set_wakeup_fd(-1)
    for fd in place.foreign:
        os.close(fd)
    os.dup2(place.output, 1)
    os.dup2(place.output, 2)
    os.close(place.output)
    os.chdir(place.folder)
    _name(place.folder, call_id)


def _name(folder: str, call_id: str) -> None:
    environment = os.environ  # noqa: TID251  # the tool's
    environment["HOME"] = environment["TMPDIR"] = folder
    environment[CALL_ID] = call_id


def _flush() -> None:
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:  # noqa: BLE001, S110  # the tool may have put anything there
        pass


def _write(fd: int, body: bytes) -> None:
    while body:
        body = body[os.write(fd, body) :]


def _json(value: Any) -> bytes:  # whatever the tool returned
    try:
        return ENCODE(value).encode()
    except (TypeError, ValueError, RecursionError):
        from pydantic_core import PydanticSerializationError, to_json

        try:
            return to_json(value)
        except PydanticSerializationError as error:
            raise _UnusableValueError(str(error)) from None


def _run(function: Function, arguments: dict[str, Any]) -> Any:  # whatever the tool returns
    if not iscoroutinefunction(function):
        return function(**arguments)
    import asyncio

    return asyncio.run(function(**arguments))


def _reconciled(tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    if tool.reconciler is None:
        raise LookupError("it has no reconcile function")
    match _run(tool.reconciler, arguments):
        case Done(value=value):
            return {"done": True, "value": value}
        case NotDone():
            return {"done": False}
        case other:
            raise TypeError(f"a reconcile function returns Done(...) or NotDone(), not {type(other).__name__}")


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
        **_prospects(error),
    )


def _prospects(error: BaseException) -> dict[str, Any]:
    """Whether the same may work later, and after how many seconds if the tool says so."""
    if not isinstance(error, PASSING) or isinstance(error, LASTING):
        return {}
    seconds = error.data.get("seconds") if isinstance(error, TryAgain) else None
    known = isinstance(seconds, int | float) and 0 <= seconds < math.inf
    return {"passing": True, "seconds": seconds} if known else {"passing": True}


def _unusable(tool: Tool, reason: str, what: str, hint: str, **data: Any) -> bytes:
    return _failed("tool_failed", f"{tool.name} {what[:TEXT_BYTES]}", hint, reason=reason, **data)


def _failed(code: str, message: str, hint: str, **data: Any) -> bytes:  # JSON values
    data = {key: _speakable(value) if isinstance(value, str) else value for key, value in data.items()}
    told = {"code": code, "message": _speakable(message), "hint": _speakable(hint), "data": data}
    return b"e" + ENCODE(told).encode()


def _speakable(text: str) -> str:
    """Without lone surrogates, which UTF-8 cannot say."""
    return text.encode(errors="replace").decode()
