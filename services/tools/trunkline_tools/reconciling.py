"""What the tool's own reconcile function knows of an attempt that is in doubt."""

from __future__ import annotations

from dataclasses import dataclass, replace

import structlog

from trunkline.bus import Bus, append
from trunkline.contracts.messages import Note
from trunkline.contracts.registry import ToolCard
from trunkline.contracts.subjects import RunKey
from trunkline_tools.call_state import TOOLS, CallState
from trunkline_tools.sandbox.contract import Outcome
from trunkline_tools.trying import Trying

log = structlog.get_logger("trunkline.tools")


@dataclass(frozen=True, slots=True)
class Found:
    """`done`: the effect happened, and `outcome` bears the call's value."""

    done: bool
    outcome: Outcome


async def reconciled(trying: Trying, card: ToolCard, state: CallState) -> Found | None:
    """None when nobody but a person can say it. Raises BusUnavailable."""
    if not card.reconcile_seconds:
        return None
    outcome = await trying.reconcile(state)
    match outcome.value:
        case {"done": True, "value": value} if outcome.error is None:
            return Found(True, replace(outcome, value=value))
        case {"done": False} if outcome.error is None:
            return Found(False, outcome)
    log.warning(
        "cannot reconcile; a person must decide",
        action="not_reconciled",
        tool=card.tool,
        run=state.event.subject.run,
        reason=outcome.error.message if outcome.error else "",
    )
    return None


async def note_reconciled(bus: Bus, card: ToolCard, state: CallState, attempt: int, *, done: bool) -> None:
    """Raises BusUnavailable."""
    subject = state.event.subject
    place = RunKey.of(subject).step("note", TOOLS, f"reconciled-{subject.step}-{attempt}")
    await append(bus, place, Note(what="reconciled", data={"tool": card.tool, "attempt": attempt, "done": done}))
