"""How long a run may take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from trunkline.contracts.messages import Failure, Request


@dataclass(frozen=True)
class Limits:
    """All in seconds: what a run may take unless its request says otherwise, and at most; until somebody begins."""

    run_seconds: float = 900.0
    longest_run_seconds: float = 7 * 24 * 3600.0
    queue_seconds: float = 120.0

    def default(self, asked_at: datetime) -> datetime:
        return asked_at + timedelta(seconds=self.run_seconds)

    def queue_ends(self, asked_at: datetime) -> datetime:
        return asked_at + timedelta(seconds=self.queue_seconds)


def deadline_of(request: Request, asked_at: datetime, limits: Limits) -> datetime | Failure:
    """When the run of a request that was stored at `asked_at` has to have ended, or why it cannot be let in."""
    wanted = request.deadline
    if wanted is None:
        return limits.default(asked_at)
    if wanted.tzinfo is None:
        return _refused(f"The deadline {wanted.isoformat()} names no time zone.", "Write it as 2030-01-31T12:00:00Z.")
    seconds = (wanted - asked_at).total_seconds()
    if seconds <= 0:
        return _refused(
            f"The deadline {_shown(wanted)} had passed when the question arrived, at {_shown(asked_at)}.",
            "Ask again with a later one.",
        )
    if seconds > limits.longest_run_seconds:
        return _refused(
            f"The deadline {_shown(wanted)} is {timedelta(seconds=round(seconds))} away; "
            f"a run may take {timedelta(seconds=round(limits.longest_run_seconds))} at most.",
            "Ask with an earlier one.",
        )
    return wanted


def _refused(message: str, hint: str) -> Failure:
    return Failure(code="invalid_deadline", message=message, hint=hint)


def _shown(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")
