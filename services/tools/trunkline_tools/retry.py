"""When a failed call is tried again: exponential backoff with full jitter."""

from __future__ import annotations

import random

from trunkline.contracts.messages import Failure

FIRST_SECONDS = 0.2
LONGEST_BACKOFF = 10.0
LONGEST_PAUSE = 60.0
"""A tool that asks for more seconds is not waited for: its failure is the result."""


def pause(failure: Failure, tries: int, retries: int) -> float | None:
    """Seconds until the next try, after `tries` failed ones before this; None when there is none.

    So a call takes at most (retries + 1) x its time-out + retries x LONGEST_PAUSE seconds.
    """
    if failure.data.get("passing") is not True or tries >= retries:
        return None
    asked = failure.data.get("seconds", 0.0)
    seconds = float(asked) if isinstance(asked, int | float) else 0.0
    jitter = random.uniform(0, min(LONGEST_BACKOFF, FIRST_SECONDS * 2**tries))  # noqa: S311  # spreads, guards nothing
    return seconds + jitter if seconds + jitter <= LONGEST_PAUSE else None
