"""Identifiers: how they look and where they come from."""

import os
import re
import time
from typing import NewType

from trunkline.contracts.errors import InvalidName

RunId = NewType("RunId", str)
ConversationId = NewType("ConversationId", str)
EventId = NewType("EventId", str)
StepName = NewType("StepName", str)

DEFAULT_TENANT = "main"
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


def new_run_id() -> RunId:
    """A UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then randomness, so that runs sort by time."""
    return RunId(_uuid7(time.time_ns() // 1_000_000, os.urandom(10)))


def child_run_id(parent: RunId, step: StepName) -> RunId:
    """The run that `parent` delegates to at `step`: always the same id, and it sorts beside its parent."""
    import hashlib  # not above: the processes that run tools read this module, and are small

    digest = hashlib.sha256(f"{parent}/{step}".encode()).digest()
    milliseconds = started_at_ms(parent)
    return RunId(_uuid7(milliseconds if milliseconds is not None else 0, digest[:10]))


def started_at_ms(run: RunId) -> int | None:
    """Unix milliseconds inside a UUIDv7 run id; None for an id that a client made up otherwise."""
    return int(run[:8] + run[9:13], 16) if _UUID7.fullmatch(run) else None


def new_event_id() -> EventId:
    return EventId(os.urandom(9).hex())


def new_conversation_id() -> ConversationId:
    return ConversationId(f"c-{os.urandom(6).hex()}")


def checked_token(value: str, what: str) -> str:
    """`value` when it can be one token of a subject; NATS itself would let `*` and `>` through.

    Raises InvalidName.
    """
    if TOKEN.fullmatch(value):
        return value
    raise InvalidName(
        f"{what} {value[:80]!r} is not a valid name.",
        "Use 1 to 64 of the characters A-Z a-z 0-9 _ and -.",
    )


def tool_token(name: str) -> str:
    """How a tool's name stands in a subject and at a model provider, where a dot may not: `a.b` → `a__b`.

    Raises InvalidName.
    """
    if "__" in name:
        raise InvalidName(f"tool {name!r} has a double underscore.", "It stands for the dot in subjects; use one.")
    return checked_token(name.replace(".", "__"), "tool")


def tool_name(token: str) -> str:
    return token.replace("__", ".")


def _uuid7(milliseconds: int, randomness: bytes) -> str:
    bits = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(randomness, "big")
    bits = bits & ~(0xF << 76) | 0x7 << 76
    bits = bits & ~(0b11 << 62) | 0b10 << 62
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
