"""What a model call counts against its budgets, by what the log says of it.

| the log says | it counts |
|---|---|
| nothing of an intent to make it, or that nothing was reserved for it | nothing |
| it came back, or failed, or was of no use any more, with a cost | that cost |
| it failed, and nothing was spent | nothing |
| no outcome, while its run goes on and nobody has tried again | not known yet: all that was reserved |
| else: an intent without a result, or a cost that nobody knows | all that was reserved |

An agent's intent is its `prompt`; the router's own, when it asks a model who shall answer, is a note.
"""

from __future__ import annotations

from collections.abc import Iterable

from trunkline.contracts.codec import Event
from trunkline.contracts.messages import Fact, Model, Note, Prompt
from trunkline.contracts.subjects import CLASSIFIED, CLASSIFY, CLIENT, RunKey, Subject
from trunkline.prices import Money

GRACE_SECONDS = 120.0
"""So long after somebody read that an amount was reserved, the log decides what is to become of it."""
PAY_WITHIN = GRACE_SECONDS / 4
"""Seconds from before an amount is reserved to the acknowledgement of the intent; later, the call must not be paid, for
somebody may have looked, found no intent, and given the amount back.
"""
FAILED, UNUSED = "retry", "unused"
"""How the notes on an attempt begin: it failed, and another followed; or it came back, but another was first."""


def evidence(call: Subject) -> tuple[str, ...]:
    """The subjects of all that matters to what the call counts, that of its intent first; none when no call has that
    name.
    """
    key, answer = RunKey.of(call), RunKey.of(call).step("answer", CLIENT).any_name
    if call.kind == "note" and call.step == CLASSIFY:
        return str(call), str(key.step("note", call.name, CLASSIFIED)), answer
    step, attempt = _attempt(call)
    if call.kind != "prompt" or not step:
        return ()
    return (
        str(call),
        str(key.step("note", call.name, f"{FAILED}-{step}-{attempt}")),
        str(key.step("note", call.name, f"{UNUSED}-{step}-{attempt}")),
        str(key.step("model", call.name, step)),
        str(key.step("prompt", call.name, f"{step}-{attempt + 1}")),
        answer,
    )


def charged(call: Subject, events: Iterable[Event], held: Money) -> Money | None:
    """What the call counts, by those events, which may be its whole run's; None: not known yet.

    `call`: the subject of its intent. `held`: what was reserved, for an intent that cannot be read.
    """
    facts = {_name(event.subject): event.fact for event in events}
    intent, *others = (facts.get(subject) for subject in evidence(call))
    if intent is None:
        return Money()
    held = _reserved(intent, held)
    said = [fact for fact in others if fact is not None]
    costs = (_outcome(fact, _attempt(call)[1], held) for fact in said)
    return next((cost for cost in costs if cost is not None), held if said or not held.pico else None)


def holder(call: Subject, events: Iterable[Event]) -> str:
    """The name of the hold from which the call is paid, as its intent says; empty when it does not say. Whatever else
    was held back for it is of one who lost an acknowledgement, or came second.
    """
    for event in events:
        match event.fact:
            case Prompt(hold=hold) if event.subject == call:
                return hold
            case Note(data=data) if event.subject == call:
                return named if isinstance(named := data.get("hold"), str) else ""
    return ""


def cost_of(cost: str, spent: object, held: Money) -> Money:
    """Of a call that is over. `cost`: as its fact says, empty where nobody knows; `spent`: False when it certainly cost
    nothing.
    """
    if cost:
        return _amount(cost, held)
    return Money() if spent is False else held


def _attempt(call: Subject) -> tuple[str, int]:
    """The step, and which attempt at it; no step when the subject bears no attempt."""
    step, _, attempt = call.step.rpartition("-")
    return (step, int(attempt)) if attempt.isdecimal() else ("", 0)


def _name(subject: Subject) -> str:
    """A run has one answer, whoever it is for."""
    return subject.any_name if subject.kind == "answer" else str(subject)


def _reserved(intent: Fact, otherwise: Money) -> Money:
    match intent:
        case Prompt():
            return _amount(intent.reserved or "0", otherwise)
        case Note():
            return _amount(str(intent.data.get("reserved") or "0"), otherwise)
        case _:
            return otherwise


def _outcome(fact: Fact, attempt: int, held: Money) -> Money | None:
    """None when it says nothing of this attempt."""
    match fact:
        case Model() if fact.attempt == attempt:
            return cost_of(fact.cost, fact.error.data.get("spent") if fact.error else None, held)
        case Note():
            return cost_of(str(fact.data.get("cost") or ""), fact.data.get("spent"), held)
        case _:
            return None


def _amount(text: str, otherwise: Money) -> Money:
    try:
        return Money.parse(text)
    except ValueError:
        return otherwise
