"""Why a call was not run, or is not run again: for the agent that made it, and for who reads along."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from trunkline.contracts.messages import Cancel, Decision, Failure

EFFECT = "effect"
"""Of a failure's data: `none` or `unknown`, where a tool with effects was begun and gave no result."""


def deadline_passed(tool: str, called: datetime, now: datetime) -> Failure:
    waited = max(0.0, (now - called).total_seconds())
    return Failure(
        code="deadline_passed",
        message=f"{tool} was not run: its deadline passed while it waited {waited:.1f} s in the queue.",
        hint="Ask again; start more executors if that happens often.",
        data={"waited_seconds": round(waited, 3)},
    )


def cancelled(tool: str, cancel: Cancel, *, running: bool = False) -> Failure:
    by = f" by {cancel.by}" if cancel.by else ""
    return Failure(
        code="cancelled",
        message=f"{tool} {'was stopped' if running else 'was not run'}: its run was cancelled{by}.",
        hint="Ask again if that was a mistake.",
        data={"reason": "cancelled"},
    )


def run_ended(tool: str) -> Failure:
    return Failure(
        code="run_ended", message=f"{tool} was not run: its run has its answer already.", hint="Ask again if needed."
    )


def approval_expired(tool: str) -> Failure:
    return Failure(
        code="approval_expired",
        message=f"{tool} was not run: nobody approved it in time.",
        hint="Ask again, and have somebody decide: `trunkline approvals` lists what waits.",
    )


def denied(tool: str, decision: Decision) -> Failure:
    reason = f": {decision.value}" if isinstance(decision.value, str) and decision.value else ""
    return Failure(
        code="denied",
        message=f"{tool} was not run: {decision.by} denied it{reason}.",
        hint="Do not ask for it again with the same arguments.",
    )


def not_decided(tool: str, decision: Decision) -> Failure:
    return Failure(
        code="not_approved",
        message=f"{tool} was not run: what {decision.by} decided is not about this call with these arguments.",
        hint="Ask again, and decide with `trunkline approve` or `trunkline deny`.",
    )


def not_done(tool: str, decision: Decision) -> Failure:
    return Failure(
        code="not_done",
        message=f"{tool} was begun and did not happen: {decision.by} says so.",
        hint="Ask for it again if it is still wanted.",
        data={EFFECT: "none"},
    )


def in_doubt(tool: str, decision: Decision) -> Failure:
    return Failure(
        code="in_doubt",
        message=f"{tool} was started and its result is not known; it was not run again. "
        f"What {decision.by} decided is not about this call with these arguments.",
        hint="Look whether its effect happened, and say so before asking again.",
        data={EFFECT: "unknown"},
    )


def did_not_happen(failure: Failure) -> Failure:
    """The failure of an attempt of which is known that it had no effect."""
    return replace(failure, hint=f"It had no effect. {failure.hint}", data=failure.data | {EFFECT: "none"})


def may_have_happened(failure: Failure) -> Failure:
    """The failure of an attempt of which nobody knows yet whether it had its effect."""
    hint = "Whether it had its effect is not known; do not ask for it again before that is clear: `trunkline doubts`."
    return replace(failure, hint=hint, data=failure.data | {EFFECT: "unknown"})
