"""Tool calls from their call, approval, decision, started and result.

A delegated run and a sleep end in a `result` too; they are no tools, so they make no row here.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from trunkline.contracts.attempts import attempt_of
from trunkline.contracts.codec import Event
from trunkline.contracts.ids import tool_name
from trunkline.contracts.messages import Approval, Call, Decision, Result, Started
from trunkline.contracts.subjects import TIMER
from trunkline_ledger.believable import count, elapsed, milliseconds, text
from trunkline_ledger.rows import ToolCallRow


def called(row: ToolCallRow | None, event: Event, fact: Call) -> tuple[ToolCallRow, ...]:
    row = row or _blank(event)
    if row.call_sequence is not None or event.subject.name == TIMER:
        return ()
    called = replace(
        row,
        tool=tool_name(event.subject.name),
        agent=text(fact.agent),
        turn=count(fact.turn.number, "turn"),
        called_at=event.at,
        call_sequence=event.sequence,
    )
    return (called,)


def started(row: ToolCallRow | None, event: Event, fact: Started) -> tuple[ToolCallRow, ...]:
    """Of several attempts, the first one ends the time in the queue."""
    row = row or _blank(event)
    if row.started_sequence is not None or row.result_sequence is not None:
        return ()
    running = replace(
        row,
        status="started" if row.status != "lost" else "lost",
        started_at=event.at,
        started_sequence=event.sequence,
        queue_ms=elapsed(row.called_at, event.at),
        isolation=text(fact.isolation),
        executor=text(fact.executor),
    )
    return (running,)


def waiting(row: ToolCallRow | None, event: Event, fact: Approval) -> tuple[ToolCallRow, ...]:
    """The newest question stands: whether the call may run, and later what became of it."""
    row = row or _blank(event)
    if row.status in ("called", "started"):
        row = replace(row, status="in_doubt" if fact.reason == "in_doubt" else "waiting")
    return (replace(row, approval_sequence=event.sequence, decision_sequence=None, verdict="", decided_by=""),)


def decided(row: ToolCallRow | None, event: Event, fact: Decision) -> tuple[ToolCallRow, ...]:
    """The first decision of a question counts. It is the executor that acts on it; the row waits for what it does."""
    row = row or _blank(event)
    if row.decision_sequence is not None:
        return ()
    status = {"waiting": "called", "in_doubt": "started"}.get(row.status, row.status)
    return (
        replace(row, status=status, verdict=fact.verdict, decided_by=text(fact.by), decision_sequence=event.sequence),
    )


def finished(row: ToolCallRow | None, event: Event, fact: Result) -> tuple[ToolCallRow, ...]:
    if row is None:
        if not fact.tool:
            return ()
        row = _blank(event, fact.tool)
    if row.result_sequence is not None:
        return ()
    duration = milliseconds(fact.duration_ms, "duration_ms")
    took = elapsed(row.called_at, event.at)
    ended = replace(
        row,
        agent=row.agent or event.subject.name,
        status="failed" if fact.error else "done",
        finished_at=event.at,
        elapsed_ms=duration if took is None else took,
        queue_ms=_queued(row.queue_ms, took, duration),
        duration_ms=duration,
        cpu_ms=milliseconds(fact.resources.cpu_ms, "cpu_ms"),
        max_rss_kib=count(fact.resources.max_rss_kib, "max_rss_kib"),
        output_bytes=count(fact.resources.output_bytes, "output_bytes"),
        isolation=text(fact.isolation) or row.isolation,
        executor=text(fact.executor) or row.executor,
        error=text(fact.error.code) if fact.error else None,
        result_sequence=event.sequence,
    )
    return (ended,)


def abandoned(known: Mapping[str, ToolCallRow]) -> tuple[ToolCallRow, ...]:
    """The run has ended: a call without a result will not be waited for."""
    return tuple(replace(row, status="lost") for row in known.values() if row.result_sequence is None)


def share(row: ToolCallRow) -> dict[str, float]:
    """What the call counts in its run."""
    return {
        "tool_calls": 1,
        "failed_tool_calls": int(row.status == "failed"),
        "tool_ms": row.elapsed_ms or 0.0,
    }


def _blank(event: Event, tool: str = "") -> ToolCallRow:
    """A call whose own message is missing."""
    name = text(tool) or tool_name(event.subject.name)
    step, _ = attempt_of(event.subject.kind, event.subject.step)
    return ToolCallRow(run=event.subject.run, step=step, tool=name)


def _queued(known: float | None, took: float | None, duration: float) -> float | None:
    """A tool without effects says no `started`: what was not running was waiting."""
    if known is not None or took is None:
        return known
    return max(0.0, round(took - duration, 3))
