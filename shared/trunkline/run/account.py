"""What a run's answer says of the run: what it cost, and whether it may be given again. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from trunkline.budget.charged import FAILED
from trunkline.contracts.messages import Answer, Result
from trunkline.contracts.verdicts import KEPT
from trunkline.prices import Money
from trunkline.run.loop import ASK, FALLBACK
from trunkline.run.purse import CHEAPER
from trunkline.run.state import RunState

PAID = ("retry", "fallback", "unused")
"""Notes on attempts that may have cost something, and whose reply nobody uses."""
MAKESHIFT = frozenset({FALLBACK, CHEAPER, KEPT})
"""Notes of an answer that is not as good as the agent could give it: another time it may be."""

CUT_OFF = "length"
"""How a reply finished that had no room for more."""


def accounted(state: RunState, answer: Answer, cacheable: Callable[[str], bool]) -> Answer:
    """The answer with both; `cacheable` says of a tool whether what it returns may go into one that is given again, and
    of an agent that was asked, as `ask.<agent>`, whether its answer may.
    """
    return msgspec.structs.replace(
        answer, cost=cost_of(state), reusable=answer.error is None and is_reusable(state, cacheable)
    )


def cost_of(state: RunState) -> str:
    """The exact sum of the costs on the log, US dollars as a decimal; empty when none is."""
    found = [amount for amount in map(_amount, _costs(state)) if amount is not None]
    return str(sum(found, Money())) if found else ""


def is_reusable(state: RunState, cacheable: Callable[[str], bool]) -> bool:
    """Whether the same question would get the same answer: nothing went into it but what models said, and results that
    may be given again. That a model failed and another one answered is no reason against it; that one was cut off is.
    """
    if any(note.what in MAKESHIFT for note in state.notes.values()):
        return False
    if any(model.error or model.finish == CUT_OFF for model in state.models.values()):
        return False
    if not state.calls.keys() <= state.results.keys():
        return False
    return all(is_lasting(result, cacheable) for _, result in state.results.values())


def is_lasting(result: Result, cacheable: Callable[[str], bool]) -> bool:
    """A delegated run's answer says it itself, and its agent must not keep it to fewer people. What names neither a run
    nor a tool could not be carried out.
    """
    if result.error:
        return False
    if result.run:
        return result.reusable and cacheable(f"{ASK}{result.agent}")
    return bool(result.tool) and cacheable(result.tool)


def _costs(state: RunState) -> Iterator[object]:
    """Of the model calls that came back, of attempts that failed or came second, of the runs that it delegated to. A
    run that is cancelled between two tries ends with the failure that a note has told of already.
    """
    told = {f"{FAILED}-{step}-{model.attempt}" for step, model in state.models.items()}
    yield from (model.cost for model in state.models.values())
    for (_, step), note in state.notes.items():
        if note.what in PAID and step not in told:
            yield note.data.get("cost")
    yield from (result.cost for _, result in state.results.values())


def _amount(text: object) -> Money | None:
    """The log's bytes are not to be trusted."""
    try:
        return Money.parse(f"{text}")
    except ValueError:
        return None
