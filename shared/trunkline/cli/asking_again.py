"""A dead letter's question, asked again: a run has one answer, so the same question is a new run."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from trunkline.bus import append, last
from trunkline.bus.letters import contents
from trunkline.bus.timers import set_off
from trunkline.cli.dead_words import About, about
from trunkline.contracts.codec import decode_fact
from trunkline.contracts.errors import BadMessage, InvalidQuestion
from trunkline.contracts.ids import RunId, new_conversation_id, new_event_id, new_run_id
from trunkline.contracts.messages import Note, Request, Task
from trunkline.contracts.subjects import ROUTER, Kind, RunKey, filter_of

if TYPE_CHECKING:
    from trunkline.bus import Bus
    from trunkline.bus.letters import Letter

REQUEUED_FROM = "requeued_from"
"""In the new request's metadata: the run that the letter is of."""
CLI = "cli"
SCHEDULED: tuple[Kind, ...] = ("call", "approval")
"""What a timer may carry."""


@dataclass(frozen=True, slots=True)
class Again:
    """The new `run` that asks for the `origin` again; without one, a timer of `origin` was set off."""

    origin: RunKey | None
    run: RunKey | None


async def ask_again(bus: Bus, letter: Letter, text: str = "") -> Again:
    """With `text` instead of what was asked. Raises InvalidQuestion when neither is there, BusUnavailable."""
    if text and not text.strip():
        raise InvalidQuestion("The question is empty.", "Write what is to be asked, or leave --text out.")
    told = about(letter.letter.subject)
    if told.is_timer and not text and await _set_off(bus, letter):
        await note(bus, told.key, "timer_set_off", letter.id)
        return Again(told.key, None)
    root, request = await _asked(bus, told.key) if told.key else (None, None)
    if not text and (request is None or not request.text.strip()):
        raise _nothing_to_ask(letter, told)
    again = msgspec.structs.replace(
        request or Request(text=text),
        id="",
        traceparent="",
        text=text or (request.text if request else ""),
        first=root is None,
        deadline=None,
        metadata=(request.metadata if request else {}) | ({REQUEUED_FROM: told.run} if told.run else {}),
    )
    run = RunKey.checked(
        new_run_id(), root.conversation if root else new_conversation_id(), *([root.tenant] if root else [])
    )
    await append(bus, run.step("request", ROUTER), again)
    await note(bus, told.key, "requeued", letter.id, run=run.run)
    return Again(told.key, run)


async def note(bus: Bus, key: RunKey | None, what: str, letter: int, *, run: str = "") -> None:
    """On the log of the letter's run, if it has one: what was done with the letter, and by whom."""
    if key is not None:
        data = {"letter": letter, "by": _somebody(), **({"run": run} if run else {})}
        await append(bus, key.step("note", CLI, f"letter-{letter}-{new_event_id()}"), Note(what=what, data=data))


async def _set_off(bus: Bus, letter: Letter) -> bool:
    """False when the timer's message cannot be read: it would only be parked again."""
    raw = await contents(bus, letter.letter) or b""
    if not any(_reads_as(kind, raw) for kind in SCHEDULED):
        return False
    await set_off(bus, letter.letter.subject, raw)
    return True


def _reads_as(kind: Kind, raw: bytes) -> bool:
    try:
        decode_fact(kind, raw)
    except BadMessage:
        return False
    return True


async def _asked(bus: Bus, key: RunKey) -> tuple[RunKey, Request | None]:
    """What a user asked that led to this run, which may be one that an agent asked for; and the run that it began."""
    seen: set[str] = set()
    while key.run not in seen:
        seen.add(key.run)
        asked = await last(bus, str(key.step("request", ROUTER)))
        if asked and isinstance(asked.fact, Request):
            return key, asked.fact
        tasked = await last(bus, filter_of(tenant=key.tenant, conversation=key.conversation, run=key.run, kind="task"))
        if tasked is None or not isinstance(tasked.fact, Task):
            return key, None
        task = tasked.fact
        if task.parent is None:
            return key, Request(text=task.text, user=task.user, agent=tasked.subject.name)
        key = RunKey(key.tenant, key.conversation, RunId(task.parent.run))
    return key, None


def _nothing_to_ask(letter: Letter, told: About) -> InvalidQuestion:
    missing = (
        f"the log has no readable request of run {told.run}" if told.key else f"its subject {told.what!r} names no run"
    )
    return InvalidQuestion(
        f"Letter {letter.id} does not say what to ask: {missing}.",
        f'Say it: `trunkline dead requeue {letter.id} --text "…"`. `trunkline dead show {letter.id}` shows the bytes.',
    )


def _somebody() -> str:
    """Who is logged in; empty where nobody is."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
