"""What was not spent: from the notes that say so, and from the replies that a cache gave in place of a model."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from trunkline.contracts.codec import Event
from trunkline.contracts.errors import BadMessage
from trunkline.contracts.messages import Model, Note
from trunkline.contracts.savings import SAVING, Lever
from trunkline_ledger.believable import count, text
from trunkline_ledger.costs import recorded
from trunkline_ledger.model_calls import CACHE
from trunkline_ledger.rows import SavingRow

Savings = Mapping[tuple[str, str, str], SavingRow]
"""By kind, name and step of the message."""
MODEL_CACHE: Lever = "model_cache"
OF_ANSWERS: frozenset[Lever] = frozenset({"answer_cache", "alike_cache"})
"""Told before the answer is given. They count once it has been: a router that dies between may leave the run to others,
who give it to an agent.
"""


class Saving(msgspec.Struct, frozen=True):
    """What such a note says; `extra` is what was spent on top, where trying to save was in vain."""

    lever: str
    cost: str = ""
    extra: str = ""
    tokens: int = 0

    @property
    def pico(self) -> int | None:
        """Picodollars, negative where more was spent; None where nobody knows. Raises BadMessage."""
        if not self.cost:
            return None
        return (recorded(self.cost, "").pico or 0) - (recorded(self.extra or "0", "").pico or 0)


def saved(known: Savings, event: Event) -> tuple[SavingRow, ...]:
    """Raises BadMessage."""
    subject = event.subject
    said = _said(event)
    if said is None or (subject.kind, subject.name, subject.step) in known:
        return ()
    row = SavingRow(
        run=subject.run,
        kind=subject.kind,
        name=subject.name,
        step=subject.step,
        lever=text(said.lever),
        cost=said.pico,
        tokens=count(said.tokens, "tokens"),
        at=event.at,
    )
    return (row,)


def _said(event: Event) -> Saving | None:
    match event.fact:
        case Model(source=source) as fact if source == CACHE:
            return Saving(MODEL_CACHE, fact.saved)
        case Note(what=what) as fact if what == SAVING:
            try:
                return msgspec.convert(fact.data, Saving)
            except msgspec.ValidationError as error:
                raise BadMessage(f"not the note of a saving: {error}.") from error
    return None
