"""Asking people: whether a call may run, or what became of one that is in doubt. The answer is a message of its own."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from trunkline.bus import Bus, append
from trunkline.bus.timers import schedule
from trunkline.contracts.attempts import doubt_step
from trunkline.contracts.codec import encode, input_hash
from trunkline.contracts.messages import Approval
from trunkline.contracts.registry import ToolCard
from trunkline.contracts.subjects import RunKey
from trunkline_tools.call_state import CallState


def arguments_hash(card: ToolCard, state: CallState) -> str:
    """What a decision is bound to."""
    return input_hash(card.tool, state.call.arguments)


async def ask_first(bus: Bus, card: ToolCard, state: CallState, expires: datetime) -> None:
    """Whether the call may run: somebody says so before `expires` and before its deadline, or a timer says no.

    Doing it again asks the same and sets the same timer. Raises BusUnavailable.
    """
    key, subject = RunKey.of(state.event.subject), state.event.subject
    if state.call.deadline:
        expires = min(expires, state.call.deadline)
    asked = replace(_question(card, state), reason="approve", expires=expires)
    written = await append(bus, key.step("approval", subject.name, subject.step), asked)
    if written.event and isinstance(written.event.fact, Approval):
        asked = written.event.fact
    if asked.expires:
        await schedule(bus, key, subject.name, subject.step, asked.expires, encode(replace(asked, arguments={})))


async def ask_what_became(bus: Bus, card: ToolCard, state: CallState, attempt: int) -> None:
    """Whether an attempt in doubt had its effect. Nobody is hurried. Raises BusUnavailable."""
    subject = state.event.subject
    place = RunKey.of(subject).step("approval", subject.name, doubt_step(subject.step, attempt))
    await append(bus, place, replace(_question(card, state), reason="in_doubt"))


def _question(card: ToolCard, state: CallState) -> Approval:
    return Approval(
        arguments=state.call.arguments,
        arguments_hash=arguments_hash(card, state),
        agent=state.call.agent,
        provenance={"source": card.source} if card.source else {},
    )
