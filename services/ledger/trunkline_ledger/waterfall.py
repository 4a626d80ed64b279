"""The steps of a run as bars: where each begins, and how long what it opened took. Pure."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from trunkline.contracts.messages import Note
from trunkline_ledger.believable import elapsed
from trunkline_ledger.rows import EventRow, ModelCallRow, ToolCallRow
from trunkline_ledger.views import StepView

SILENT = Note(what="")


def waterfall(
    events: Sequence[EventRow],
    model_calls: Iterable[ModelCallRow],
    tool_calls: Iterable[ToolCallRow],
    notes: Mapping[int, Note],
) -> tuple[StepView, ...]:
    """`events` in the order of the log, `notes` by sequence. Unreadable ones stand among the others, with their
    problem.
    """
    if not events:
        return ()
    at = {event.sequence: event.at for event in events}
    closed_by = dict(_pairs(events, model_calls, tool_calls))
    return tuple(
        _step(event, events[0].at, closed_by.get(event.sequence), at, notes.get(event.sequence, SILENT))
        for event in events
    )


def _pairs(
    events: Sequence[EventRow], model_calls: Iterable[ModelCallRow], tool_calls: Iterable[ToolCallRow]
) -> Iterator[tuple[int, int]]:
    """Sequences: what opens something, and what ends it."""
    arrivals = [_first(events, kind) for kind in ("request", "task", "prompt")]
    for opening, end in itertools.pairwise(arrivals):
        if opening is not None and end is not None:
            yield opening, end
    for call in model_calls:
        if call.prompt_sequence is not None and call.model_sequence is not None:
            yield call.prompt_sequence, call.model_sequence
    for row in tool_calls:
        if row.approval_sequence is not None and row.decision_sequence is not None:
            yield row.approval_sequence, row.decision_sequence
        if row.result_sequence is not None:
            yield from ((begun, row.result_sequence) for begun in (row.call_sequence, row.started_sequence) if begun)


def _first(events: Sequence[EventRow], kind: str) -> int | None:
    return next((event.sequence for event in events if event.kind == kind and event.problem is None), None)


def _step(event: EventRow, start: datetime, ended_by: int | None, at: dict[int, datetime], note: Note) -> StepView:
    return StepView(
        sequence=event.sequence,
        kind=event.kind or "",
        name=event.name or "",
        step=event.step or "",
        at=event.at,
        offset_ms=elapsed(start, event.at) or 0.0,
        duration_ms=None if ended_by is None else elapsed(event.at, at.get(ended_by)),
        ended_by=ended_by,
        size=event.size,
        problem=event.problem,
        what=note.what,
        data=note.data,
    )
