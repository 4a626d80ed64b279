"""Why the log takes no writes: said in the process's log once, and in its health until a write succeeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.subjects import TRUNK

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

log = structlog.get_logger("trunkline.bus")

INSUFFICIENT = frozenset({10023, 10047})
"""JetStream has used up the storage that the server's settings allow."""
LIMIT_EXCEEDED = ("maximum bytes exceeded", "maximum messages exceeded")
CALLERS_FAULT = 400


class Refused(BusUnavailable):
    """The log said no, and would again until somebody does something about it."""


def refused(subject: str, code: int, err_code: int, description: str) -> BusUnavailable:
    """What the server said to a publication; Refused unless it may say something else in a moment."""
    if description in LIMIT_EXCEEDED:
        return Refused(
            f"The log is full: stream {TRUNK}, {description}.",
            f"Raise its limit, as with `nats stream edit {TRUNK} --max-bytes 100GB`; all goes on by itself then.",
        )
    if err_code in INSUFFICIENT:
        return Refused(
            f"The log is full: the bus has used up its storage ({description}).",
            "Raise max_file_store in nats-server's settings, with the disk for it, and restart nats-server.",
        )
    kind = Refused if code == CALLERS_FAULT else BusUnavailable
    return kind(f"The bus refused {subject}: {description}.", "See nats-server's log.")


async def explained(bus: Bus, error: BusUnavailable) -> BusUnavailable:
    """Why writes have failed for a while: `error`, or more than it says.

    A server that could not write to its disk says so in its own log only. It goes on answering to everything but
    writes to that stream, until it is restarted.
    """
    try:
        answer = await bus.api(f"STREAM.INFO.{TRUNK}", wait=2.0)
    except BusUnavailable:
        return _leaderless() if bus.clustered else error
    if "error" in answer:
        return error
    return BusUnavailable(
        "The bus answers, and the log takes no writes.",
        "Its disk may be full, which nats-server's log says: free some space, then restart nats-server.",
    )


def _leaderless() -> BusUnavailable:
    return BusUnavailable(
        "The log has no leader at present.",
        "A cluster elects one within 10 seconds, while most of its servers run: see to it that they do.",
    )


def say_trouble(bus: Bus, error: BusUnavailable) -> None:
    """Once, until it is well again or something else."""
    if bus.trouble != str(error):
        bus.trouble = str(error)
        log.error("cannot write to the log", action="log_unwritable", reason=error.what, hint=error.hint)


def say_well(bus: Bus) -> None:
    if bus.trouble:
        bus.trouble = ""
        log.warning("the log takes writes again", action="log_writable")
