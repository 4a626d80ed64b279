"""A run's steps as rows: what opened and what closed it become one row; delegated runs stand among their parent's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from trunkline.cli.figures import count, dollars, duration
from trunkline.cli.note_words import bad, words
from trunkline.contracts.attempts import attempt_of
from trunkline.contracts.ids import tool_name

if TYPE_CHECKING:
    from trunkline.cli.ledger_json import ModelCall, RunDetail, RunSummary, Step, ToolCallView

CLOSING = ("model", "result", "decision")
"""Kinds that say only how what was opened has ended."""

LABELS = {"request": "routing", "task": "waiting", "prompt": "model", "call": "tool", "started": "tool"}
"""What the time after an event is spent on."""


@dataclass(frozen=True, slots=True)
class Row:
    """`start` and `length` in milliseconds since the run began; `length` None: a moment, or not over."""

    start: float
    length: float | None
    kind: str
    label: str
    name: str
    said: str
    depth: int = 0
    bad: bool = False
    open: bool = False


def rows_of(detail: RunDetail) -> list[Row]:
    """The run and all below it, in the order of time; `depth` says whose they are."""
    zero = detail.steps[0].at if detail.steps else detail.summary.started_at
    return list(_rows(detail, zero, 0))


def _rows(detail: RunDetail, zero: datetime, depth: int) -> Iterator[Row]:
    delegated = {child.summary.parent_step: child for child in detail.children}
    waiting = sorted(detail.children, key=lambda child: child.summary.started_at)
    closing = {step.ended_by for step in detail.steps if step.ended_by}
    for step in detail.steps:
        while waiting and waiting[0].summary.started_at <= step.at:
            yield from _delegation(waiting.pop(0), zero, depth)
        if step.problem is None and (_closes(step, closing) or _said_elsewhere(step, detail)):
            continue
        if step.problem is None and step.kind == "result" and step.step in delegated:
            continue
        yield _row(step, detail, zero, depth)
    for child in waiting:
        yield from _delegation(child, zero, depth)


def _closes(step: Step, closing: set[int]) -> bool:
    return step.kind in CLOSING and step.sequence in closing


def _said_elsewhere(step: Step, detail: RunDetail) -> bool:
    """The call's own row tells of its start."""
    call, attempt = attempt_of(step.kind, step.step)
    first = step.kind == "started" and attempt == 1
    return first and any(each.kind == "call" and each.step == call for each in detail.steps)


def _delegation(child: RunDetail, zero: datetime, depth: int) -> Iterator[Row]:
    summary = child.summary
    start = _since(zero, summary.started_at)
    yield Row(
        start=start,
        length=summary.stages.total_ms if summary.answered_at else None,
        kind="task",
        label="asks",
        name=summary.agent,
        said=summary.failure or summary.question,
        depth=depth,
        bad=summary.status == "failed",
        open=summary.answered_at is None,
    )
    yield from _rows(child, zero, depth + 1)


def _row(step: Step, detail: RunDetail, zero: datetime, depth: int) -> Row:
    said, bad = _said(step, detail)
    opens = step.kind in LABELS and step.duration_ms is None
    ended = bad or detail.summary.answered_at is not None
    return Row(
        start=_since(zero, step.at),
        length=step.duration_ms,
        kind=step.kind,
        label=_label(step, opens=opens and not ended),
        name=tool_name(step.name) if step.kind in ("call", "started", "approval", "decision") else step.name,
        said=said,
        depth=depth,
        bad=bad,
        open=opens and not ended,
    )


def _label(step: Step, *, opens: bool) -> str:
    """A task that led to no model call was not waited for."""
    spent = step.duration_ms is not None or opens or step.kind not in ("request", "task")
    return LABELS.get(step.kind, step.kind) if spent else step.kind


def _said(step: Step, detail: RunDetail) -> tuple[str, bool]:
    """What happened, and whether it went wrong."""
    if step.problem:
        return step.problem, True
    match step.kind:
        case "prompt" | "model":
            return _of_model(_model_call(step, detail))
        case "call" | "started" | "result":
            of_call, _ = attempt_of(step.kind, step.step)
            return _of_tool(next((call for call in detail.tool_calls if call.step == of_call), None))
        case "approval":
            _, attempt = attempt_of(step.kind, step.step)
            return (f"what became of attempt {attempt}?" if attempt else "may it run?"), False
        case "task":
            return _of_route(detail.summary), False
        case "answer":
            return _of_answer(detail.summary)
        case "note":
            return words(step.what, step.data) or _of_note(step.step), bad(step.what)
    return "", step.kind == "cancel"


def _model_call(step: Step, detail: RunDetail) -> ModelCall | None:
    """Attempts at one call share its number; a prompt's own step bears the attempt, too."""
    number, _, attempt = step.step.partition("-")
    found = [call for call in detail.model_calls if call.step in (step.step, number)]
    return next((call for call in found if str(call.attempt) == attempt), found[-1] if found else None)


def _of_model(call: ModelCall | None) -> tuple[str, bool]:
    if call is None:
        return "", False
    if call.source == "cache":
        return f"given before, nobody was asked · {call.model}", False
    if call.outcome == "unused":
        paid = dollars(call.cost, known=call.cost_known)
        return f"{paid} · {call.model} · unused: another attempt's reply was there first", True
    if call.outcome == "lost":
        return f"{call.model} · lost: paid, and nothing came back", True
    if call.error:
        return f"{call.model} · {call.error}", True
    if call.outcome == "open":
        return call.model, False
    tokens = f"{count(call.input_tokens)} + {count(call.output_tokens)} tokens"
    return f"{dollars(call.cost, known=call.cost_known)} · {tokens} · {call.model}", False


def _of_tool(call: ToolCallView | None) -> tuple[str, bool]:
    if call is None:
        return "", False
    ran = f"ran {duration(call.duration_ms)}" if call.duration_ms else call.status
    parts = [ran, call.isolation, f"{call.verdict} by {call.decided_by}" if call.verdict else "", call.error or ""]
    return " · ".join(filter(None, parts)), call.status in ("failed", "lost")


def _of_answer(summary: RunSummary) -> tuple[str, bool]:
    if summary.failure is not None:
        return summary.failure, True
    return ("given before, nobody was asked" if summary.source == "cache" else ""), False


def _of_note(step: str) -> str:
    """What the names of notes begin with, `takeover-1-2`, says what they are about; a bare number says nothing."""
    what = step.partition("-")[0]
    return "" if what.isdigit() else what


def _of_route(summary: RunSummary) -> str:
    if summary.route_source is None or summary.parent:
        return ""
    sure = f", {summary.route_confidence:.0%} sure" if summary.route_confidence is not None else ""
    return f"{summary.route_source}{sure}"


def _since(zero: datetime, at: datetime) -> float:
    return max(0.0, (at - zero).total_seconds() * 1000)
