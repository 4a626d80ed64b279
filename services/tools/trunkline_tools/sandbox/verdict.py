"""From how a process ended to what the call came to. The child's reply is untrusted: capped, then parsed."""

import os
import re
import signal
from typing import Any

import msgspec
import orjson

from trunkline.contracts.messages import Failure, Resources
from trunkline_tools.sandbox import frames
from trunkline_tools.sandbox.contract import Outcome
from trunkline_tools.sandbox.limits import Limits

MEND = "The tool has to be mended; asking again changes nothing."

_strings = re.compile(rb'"(?:[^"\\]|\\.)*"')
_not_brackets = bytes(set(range(256)) - set(b"[]{}"))


def verdict(tool: str, ending: frames.Ending, limits: Limits, seconds: float, isolation: str) -> Outcome:
    value, error = _judge(tool, ending, limits, seconds)
    if error is not None and ending.tail:
        error = msgspec.structs.replace(error, data=error.data | {"output": ending.tail.decode(errors="replace")})
    return Outcome(
        value=value,
        error=error,
        duration_ms=ending.duration_us / 1000,
        resources=Resources(
            cpu_ms=ending.cpu_us / 1000, max_rss_kib=ending.max_rss_kib, output_bytes=ending.output_bytes
        ),
        isolation=isolation,
    )


def failed(tool: str, reason: str, what: str, hint: str, *, passing: bool = False) -> Failure:
    """`reason`: raised, hung, flooded, exited, killed, out_of_memory, bad_output, cancelled or not_started.

    `passing`: the same call may work a little later.
    """
    data: dict[str, Any] = {"reason": reason} | ({"passing": True} if passing else {})
    return Failure(code="tool_failed", message=f"{tool} {what}", hint=hint, data=data)


def _judge(tool: str, ending: frames.Ending, limits: Limits, seconds: float) -> tuple[Any, Failure | None]:
    if ending.cause != frames.UNTOUCHED:
        return None, _ended(tool, ending, limits, seconds)
    if len(ending.reply) > limits.reply_bytes:
        what = f"returned more than {limits.reply_bytes} bytes"
        return None, failed(tool, "bad_output", what, "Return less, or a reference to it.")
    if os.WIFSIGNALED(ending.status):
        return None, _crashed(tool, os.WTERMSIG(ending.status))
    code = os.waitstatus_to_exitcode(ending.status)
    if code != 0 or not ending.reply:
        return None, failed(tool, "exited", f"left with exit code {code} and without a value", MEND)
    return _read(tool, ending.reply, limits.reply_depth)


def _ended(tool: str, ending: frames.Ending, limits: Limits, seconds: float) -> Failure:
    if ending.cause == frames.TIMED_OUT:
        return failed(tool, "hung", f"did not return within {seconds:g} s", "Ask for less, or raise its timeout.")
    if ending.cause == frames.FLOODED:
        return failed(
            tool, "flooded", f"printed more than {limits.output_bytes} bytes", "Print less; return the value."
        )
    if ending.cause == frames.CANCELLED:
        return failed(tool, "cancelled", "was cancelled", "Nothing to do.")
    what = f"got no process: {os.strerror(ending.status)}"
    return failed(tool, "not_started", what, "Try again when less is running.", passing=True)


def _crashed(tool: str, number: int) -> Failure:
    if number == signal.SIGXCPU:
        return failed(tool, "hung", "used up its CPU seconds", "Ask for less, or raise its timeout.")
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return failed(tool, "killed", f"was ended by {name}", MEND)


def _read(tool: str, reply: bytes, depth: int) -> tuple[Any, Failure | None]:
    body = reply[1:]
    if too_deep(body, depth):
        return None, failed(
            tool, "bad_output", f"returned a value nested deeper than {depth}", "Return a flatter value."
        )
    try:
        if reply[:1] == b"e":
            return None, msgspec.json.decode(body, type=Failure)
        value = msgspec.json.decode(body)
        orjson.dumps(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, ValueError) as error:
        return None, failed(tool, "bad_output", f"returned what is not JSON: {error}", "Return JSON values or models.")
    return value, None


def too_deep(body: bytes, depth: int) -> bool:
    """Whether brackets nest deeper than `depth`, without building anything."""
    if body.count(b"[") + body.count(b"{") <= depth:
        return False
    open_now = 0
    for bracket in _strings.sub(b"", body).translate(None, _not_brackets):
        open_now += 1 if bracket in b"[{" else -1
        if open_now > depth:
            return True
    return False
