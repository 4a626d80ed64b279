"""Model calls from their prompts and models, and from the notes of failed attempts that others followed.

A prompt is an intent to pay: without any of these it is money spent. A failed attempt costs what its tokens cost;
without any it costs nothing when the provider refused it or was never reached, and else nobody knows.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec.structs import replace

from trunkline.contracts.codec import Event
from trunkline.contracts.dialog import Usage
from trunkline.contracts.errors import BadMessage
from trunkline.contracts.messages import Failure, Model, Note, Prompt
from trunkline.prices import PriceBook
from trunkline_ledger.believable import count, elapsed, milliseconds, text, tokens
from trunkline_ledger.costs import NOTHING, UNKNOWN, Cost, by_book, recorded, reserved
from trunkline_ledger.rows import ModelCallRow

Attempts = dict[tuple[str, int], ModelCallRow]
"""By step and attempt."""
RETRIED = "retry-"
"""How the step of a failed attempt's note begins; the attempt's own follows."""


class FailedAttempt(msgspec.Struct, frozen=True):
    """What such a note says."""

    code: str = "model_failed"
    usage: Usage = Usage()
    cost: str = ""
    prices: str = ""
    latency_ms: float = 0.0
    spent: bool = True


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
        reserved=reserved(fact.reserved),
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
    if row is not None and row.model_sequence is not None:
        return ()
    row = row or ModelCallRow(
        run=event.subject.run, step=step, attempt=attempt, agent=event.subject.name, model=text(fact.model)
    )
    others = (other for other in _attempts(known, step) if other.attempt != attempt and other.outcome == "open")
    return (_settled(row, event, fact, prices), *(_lost(other, event.at, prices) for other in others))


def retried(known: Attempts, event: Event, fact: Note, prices: PriceBook) -> tuple[ModelCallRow, ...]:
    """An attempt failed, and another follows. Raises BadMessage."""
    step, _, attempt = event.subject.step.removeprefix(RETRIED).rpartition("-")
    row = known.get((step, int(attempt))) if _is_retry(event.subject.step, attempt) else None
    if row is None or row.model_sequence is not None:
        return ()
    try:
        failed = msgspec.convert(fact.data, FailedAttempt)
    except msgspec.ValidationError as error:
        raise BadMessage(f"not the note of a failed attempt: {error}.") from error
    usage = tokens(failed.usage)
    if failed.cost:
        cost = recorded(failed.cost, text(failed.prices))
    else:
        cost = _cost_of_failure(row, row.model, usage, event.at, prices, spent=failed.spent)
    return (
        replace(
            _with(row, usage, cost),
            outcome="retried",
            returned_at=event.at,
            elapsed_ms=elapsed(row.prompted_at, event.at),
            latency_ms=milliseconds(failed.latency_ms, "latency_ms"),
            error=text(failed.code),
            model_sequence=event.sequence,
        ),
    )


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


def _settled(row: ModelCallRow, event: Event, fact: Model, prices: PriceBook) -> ModelCallRow:
    usage = tokens(fact.usage)
    latency = milliseconds(fact.latency_ms, "latency_ms")
    cost = _cost(row, fact, usage, event.at, prices)
    return replace(
        _with(row, usage, cost),
        model=text(fact.model) or row.model,
        outcome="failed" if fact.error else "returned",
        returned_at=event.at,
        elapsed_ms=latency if row.prompted_at is None else elapsed(row.prompted_at, event.at),
        latency_ms=latency,
        first_text_ms=None if fact.first_text_ms is None else milliseconds(fact.first_text_ms, "first_text_ms"),
        error=text(fact.error.code) if fact.error else None,
        model_sequence=event.sequence,
    )


def _with(row: ModelCallRow, usage: Usage, cost: Cost) -> ModelCallRow:
    return replace(
        row,
        paid_without_result=False,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cost=cost.pico,
        cost_known=cost.pico is not None,
        prices=cost.prices,
    )


def _is_retry(step: str, attempt: str) -> bool:
    return step.startswith(RETRIED) and attempt.isdecimal() and len(attempt) < 10


def _cost(row: ModelCallRow, fact: Model, usage: Usage, at: datetime, prices: PriceBook) -> Cost:
    """No tokens at all is not believable of a call that succeeded, unless it is free."""
    if fact.cost:
        return recorded(fact.cost, text(fact.prices))
    if fact.error is not None:
        return _cost_of_failure(row, fact.model, usage, at, prices, spent=_may_have_cost(fact.error))
    if usage == Usage() and not prices.is_free(fact.model):
        return UNKNOWN
    return by_book(prices, fact.model, usage, at, asked=row.asked_model)


def _may_have_cost(error: Failure) -> bool:
    """As the failure says; else a call costs something when it ran out of time unanswered."""
    said = error.data.get("spent")
    return said if isinstance(said, bool) else error.code == "deadline_passed"


def _cost_of_failure(
    row: ModelCallRow, model: str, usage: Usage, at: datetime, prices: PriceBook, *, spent: bool
) -> Cost:
    if usage != Usage() or prices.is_free(model):
        return by_book(prices, model, usage, at, asked=row.asked_model)
    return UNKNOWN if spent else NOTHING


def _lost(row: ModelCallRow, at: datetime, prices: PriceBook) -> ModelCallRow:
    """Counted as spent: what was reserved for it, or unknown when nothing was."""
    cost = 0 if prices.is_free(row.model) else row.reserved
    return replace(
        row, outcome="lost", paid_without_result=True, cost=cost, cost_known=cost is not None, returned_at=at
    )


def _attempts(known: Mapping[tuple[str, int], ModelCallRow], step: str) -> list[ModelCallRow]:
    return [row for (of, _), row in known.items() if of == step]


def _step(step: str, attempt: int) -> str:
    """The step that a prompt is an attempt at: a subject is written once, so a prompt's bears its attempt too."""
    return step.removesuffix(f"-{attempt}")
