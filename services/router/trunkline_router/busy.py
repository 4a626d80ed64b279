"""Refusing what would only wait: how many are there already, and when it is worth another try."""

from __future__ import annotations

import math

from trunkline.contracts.messages import Failure

BUSY = "busy"


def busy(who: str, waiting: int, per_second: float | None) -> Failure:
    """`who` has as many runs as it may. `per_second`: how many of them it ends; None when that is not known."""
    message = f"{who} has {waiting:,} unfinished runs, and takes no more."
    if per_second is None:
        return Failure(code=BUSY, message=message, hint="Try again in a moment.", data={"waiting": waiting})
    seconds = math.ceil(waiting / per_second)
    return Failure(
        code=BUSY,
        message=message,
        hint=f"Try again in about {seconds} s: at its present pace it is through with them then.",
        data={"waiting": waiting, "retry_after": seconds},
    )


def talked_over(waiting: int) -> Failure:
    """A conversation has as many unanswered questions as it may."""
    return Failure(
        code=BUSY,
        message=f"{waiting} questions of this conversation have no answer yet, and it takes no more.",
        hint="Wait for an answer, or cancel one of them: `trunkline cancel RUN`.",
        data={"waiting": waiting},
    )
