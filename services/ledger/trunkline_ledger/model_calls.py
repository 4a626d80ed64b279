"""Model calls from their prompts and models, and from the notes of paid attempts that have no model.

A prompt is an intent to pay: without any of these it is money spent. An attempt costs what its worker says; else
nothing, when the provider refused it or was never reached; else what was reserved for it, as its budgets count it; else
what its tokens cost, and without any nobody knows.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec.structs import replace

from trunkline.contracts.codec import Event
from trunkline.contracts.dialog import Usage
from trunkline.contracts.errors import BadMessage
from trunkline.contracts.messages import Failure, Model, Note, Prompt
from trunkline.contracts.subjects import CLASSIFIED, CLASSIFY
from trunkline.prices import PriceBook
from trunkline_ledger.believable import count, day_of, elapsed, milliseconds, text, tokens
from trunkline_ledger.costs import NOTHING, UNKNOWN, Cost, amount, by_book, recorded
from trunkline_ledger.rows import AskedToolRow, CallOutcome, ModelCallRow

Attempts = dict[tuple[str, int], ModelCallRow]
"""By step and attempt."""
RETRIED = "retry-"
UNUSED = "unused-"
"""How the step of an attempt's note begins; the attempt's own follows. It failed, and another one followed; or it came
back too late.
"""
CACHE = "cache"


class Paid(msgspec.Struct, frozen=True):
    """What a model, or such a note, says of an attempt. `spent`: whether it may have cost anything; None: not said."""

    code: str = ""
    model: str = ""
    usage: Usage = Usage()
    cost: str = ""
    prices: str = ""
    reserved: str = ""
    latency_ms: float = 0.0
    spent: bool | None = None


def prompted(
    known: Attempts, event: Event, fact: Prompt, prices: PriceBook, *, ended: bool
) -> tuple[ModelCallRow, ...]:
    """A model call was opened. Earlier attempts at the step stay open: the one that comes back first counts."""
    attempt = count(fact.attempt, "attempt")
    step = _step(event.subject.step, attempt)
    if (step, attempt) in known:
        return ()
    row = ModelCallRow(
        run=event.subject.run,
        step=step,
        attempt=attempt,
        agent=event.subject.name,
        model=text(fact.model),
        asked_model=text(fact.model),
        worker=text(fact.worker),
        input_hash=text(fact.input_hash),
        reserved=amount(fact.reserved),
        spent_at=event.at,
        day=day_of(event.at),
        prompted_at=event.at,
        prompt_sequence=event.sequence,
    )
    settled = any(other.outcome in {"returned", "failed"} for other in _attempts(known, step))
    return (_lost(row, event.at, prices) if ended or settled else row,)


def takes_over(known: Attempts, event: Event, fact: Prompt) -> bool:
    """Whether somebody goes on with a step that another left; a worker may try again itself after a failure."""
    before = known.get((_step(event.subject.step, fact.attempt), fact.attempt - 1))
    again = before is not None and before.outcome == "retried" and before.worker == text(fact.worker)
    return fact.attempt > 1 and not again


def returned(known: Attempts, event: Event, fact: Model, prices: PriceBook) -> tuple[ModelCallRow, ...]:
    """A model call came back; no other attempt at its step can any more, so those are lost."""
    step, attempt = event.subject.step, count(fact.attempt, "attempt")
    row = known.get((step, attempt))
    others = (other for other in _attempts(known, step) if other.attempt != attempt and other.outcome == "open")
    lost = tuple(_lost(other, event.at, prices) for other in others)
    if row is not None and row.model_sequence is not None:
        return lost
    return (_settled(row or _unprompted(event, step, attempt, fact.model), event, fact, prices), *lost)


def noted(known: Attempts, event: Event, fact: Note, prices: PriceBook, *, ended: bool) -> tuple[ModelCallRow, ...]:
    """A paid attempt that no prompt, or no model, tells of. Raises BadMessage."""
    step = event.subject.step
    if step == fact.what == CLASSIFY:
        return _classifying(known, event, _read(fact), prices, ended=ended)
    if (found := _attempt_of_note(step, fact)) is None:
        return ()
    at, attempt, outcome = found
    row = known.get((at, attempt))
    if (row is None and outcome == "retried") or (row is not None and row.model_sequence is not None):
        return ()
    said = _read(fact)
    row = _paid(row or _unprompted(event, at, attempt, said.model), said, event.at, prices)
    return (
        replace(
            row,
            outcome=outcome,
            paid_without_result=outcome == "unused" and row.cost != 0,
            returned_at=event.at,
            elapsed_ms=elapsed(row.prompted_at, event.at),
            latency_ms=milliseconds(said.latency_ms, "latency_ms"),
            error=text(said.code) or ("model_failed" if outcome == "retried" else None),
            model_sequence=event.sequence,
        ),
    )


def _attempt_of_note(step: str, fact: Note) -> tuple[str, int, CallOutcome] | None:
    """Step, attempt and outcome of what such a note is about."""
    if step == fact.what == CLASSIFIED:
        return step, 1, "returned"
    outcomes: dict[str, CallOutcome] = {RETRIED: "retried", UNUSED: "unused"}
    for begins, outcome in outcomes.items():
        of, _, attempt = step.removeprefix(begins).rpartition("-")
        if step.startswith(begins) and attempt.isdecimal() and len(attempt) < 10:
            return of, int(attempt), outcome
    return None


def _classifying(
    known: Attempts, event: Event, said: Paid, prices: PriceBook, *, ended: bool
) -> tuple[ModelCallRow, ...]:
    if (CLASSIFIED, 1) in known:
        return ()
    row = replace(
        _unprompted(event, CLASSIFIED, 1, said.model),
        asked_model=text(said.model),
        reserved=amount(said.reserved),
        prompted_at=event.at,
        prompt_sequence=event.sequence,
    )
    return (_lost(row, event.at, prices) if ended else row,)


def _read(fact: Note) -> Paid:
    """Raises BadMessage."""
    try:
        return msgspec.convert(fact.data, Paid)
    except msgspec.ValidationError as error:
        raise BadMessage(f"not the note of a paid attempt: {error}.") from error


def abandoned(known: Attempts, at: datetime, prices: PriceBook) -> tuple[ModelCallRow, ...]:
    """The run has ended: what is still open will not come back."""
    return tuple(_lost(row, at, prices) for row in known.values() if row.outcome == "open")


def share(row: ModelCallRow) -> dict[str, float]:
    """What the call counts in its run."""
    settled = row.outcome != "open"
    return {
        "model_calls": 1,
        "lost_calls": int(row.paid_without_result),
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cache_read_tokens": row.cache_read_tokens,
        "cache_write_tokens": row.cache_write_tokens,
        "cost": row.cost or 0,
        "unpriced": int(settled and not row.cost_known),
        "model_ms": row.elapsed_ms or 0.0,
    }


def asked_tools(row: ModelCallRow, fact: Model) -> tuple[AskedToolRow, ...]:
    """What the call cost, split over the tools that it asked for: equal parts, what is left over to the first."""
    number = len(fact.calls)
    return tuple(
        AskedToolRow(
            run=row.run,
            step=row.step,
            attempt=row.attempt,
            place=place,
            tool=text(call.tool),
            cost=None if row.cost is None else row.cost // number + (row.cost % number if place == 0 else 0),
        )
        for place, call in enumerate(fact.calls)
    )


def _unprompted(event: Event, step: str, attempt: int, model: str) -> ModelCallRow:
    return ModelCallRow(
        run=event.subject.run,
        step=step,
        attempt=attempt,
        agent=event.subject.name,
        model=text(model),
        spent_at=event.at,
        day=day_of(event.at),
    )


def _settled(row: ModelCallRow, event: Event, fact: Model, prices: PriceBook) -> ModelCallRow:
    latency = milliseconds(fact.latency_ms, "latency_ms")
    spent = False if fact.source == CACHE else _spent(fact.error) if fact.error else None
    said = Paid(model=fact.model, usage=fact.usage, cost=fact.cost, prices=fact.prices, spent=spent)
    return replace(
        _paid(row, said, event.at, prices),
        source=text(fact.source),
        outcome="failed" if fact.error else "returned",
        returned_at=event.at,
        elapsed_ms=latency if row.prompted_at is None else elapsed(row.prompted_at, event.at),
        latency_ms=latency,
        first_text_ms=None if fact.first_text_ms is None else milliseconds(fact.first_text_ms, "first_text_ms"),
        error=text(fact.error.code) if fact.error else None,
        model_sequence=event.sequence,
    )


def _paid(row: ModelCallRow, said: Paid, at: datetime, prices: PriceBook) -> ModelCallRow:
    usage = tokens(said.usage)
    model = text(said.model) or row.model
    cost = _cost(row, said, model, at, prices)
    return replace(
        row,
        model=model,
        paid_without_result=False,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cost=cost.pico,
        cost_known=cost.pico is not None,
        prices=cost.prices,
    )


def _cost(row: ModelCallRow, said: Paid, model: str, at: datetime, prices: PriceBook) -> Cost:
    """No tokens at all are not believable of a call that succeeded, unless it is free."""
    if said.cost:
        return recorded(said.cost, text(said.prices))
    if said.spent is False and (row.reserved is not None or said.usage == Usage()):
        return NOTHING
    if row.reserved is not None:
        return Cost(row.reserved)
    if said.usage == Usage() and not prices.is_free(model):
        return UNKNOWN
    return by_book(prices, model, said.usage, at, asked=row.asked_model)


def _spent(error: Failure) -> bool:
    """As the failure says; else a call costs something when it ran out of time unanswered."""
    said = error.data.get("spent")
    return said if isinstance(said, bool) else error.code == "deadline_passed"


def _lost(row: ModelCallRow, at: datetime, prices: PriceBook) -> ModelCallRow:
    """Counted as spent: what was reserved for it; unknown when nothing was, unless it was free."""
    cost = row.reserved if row.reserved is not None or not prices.is_free(row.model) else 0
    return replace(
        row, outcome="lost", paid_without_result=True, cost=cost, cost_known=cost is not None, returned_at=at
    )


def _attempts(known: Mapping[tuple[str, int], ModelCallRow], step: str) -> list[ModelCallRow]:
    return [row for (of, _), row in known.items() if of == step]


def _step(step: str, attempt: int) -> str:
    """The step that a prompt is an attempt at: a subject is written once, so a prompt's bears its attempt too."""
    return step.removesuffix(f"-{attempt}")
