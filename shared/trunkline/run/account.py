"""What a run's answer says of the run: what it cost, and whether it may be given again. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from trunkline.contracts.messages import Answer, Result
from trunkline.contracts.subjects import CLASSIFIED, CLASSIFY, ROUTER
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
    """Of all attempts at a model call, as the budgets and the ledger count them; of the router's question to a model;
    of the runs that it delegated to. An attempt is told of once, by the model fact if there is one.
    """
    held = {f"{step}-{each.attempt}": each.reserved for step, prompts in state.prompts.items() for each in prompts}
    ended: set[str] = set()
    for step, model in state.models.items():
        attempt = f"{step}-{model.attempt}"
        ended.add(attempt)
        yield _counted(model.cost, model.error.data.get("spent") if model.error else None, held.get(attempt))
    for (_, name), note in state.notes.items():
        attempt = name.partition("-")[2]
        if note.what in PAID and attempt not in ended:
            ended.add(attempt)
            yield _counted(note.data.get("cost"), note.data.get("spent"), held.get(attempt))
    yield from (reserved for attempt, reserved in held.items() if attempt not in ended)
    if classified := state.notes.get((ROUTER, CLASSIFIED)):
        yield classified.data.get("cost")
    elif classify := state.notes.get((ROUTER, CLASSIFY)):
        yield classify.data.get("reserved")
    yield from (result.cost for _, result in state.results.values())


def _counted(cost: object, spent: object, held: object) -> object:
    """What nobody knows counts as what was `held` for it, unless it certainly cost nothing."""
    return cost or (None if spent is False else held)


def _amount(text: object) -> Money | None:
    """The log's bytes are not to be trusted."""
    try:
        return Money.parse(f"{text}")
    except ValueError:
        return None
