"""One event, and the rows that it changes. Pure: no clock, no database, no bus.

Plain publishers write on the log too, so nothing is taken for granted: an event whose predecessors are missing still
makes the rows it can, and one that contradicts them changes nothing that is settled already.
"""

from dataclasses import dataclass, field

from msgspec.structs import replace

from trunkline.contracts.attempts import attempt_of
from trunkline.contracts.codec import Event
from trunkline.contracts.errors import BadMessage
from trunkline.contracts.messages import (
    Answer,
    Approval,
    Call,
    Cancel,
    Decision,
    Feedback,
    Model,
    Note,
    Prompt,
    Request,
    Result,
    Started,
    Task,
)
from trunkline.prices import PriceBook
from trunkline_ledger import model_calls as models
from trunkline_ledger import tool_calls as tools
from trunkline_ledger.believable import QUESTION_CHARACTERS, elapsed, text
from trunkline_ledger.costs import amount
from trunkline_ledger.rows import AskedToolRow, ModelCallRow, RunRow, RunStatus, SavingRow, ToolCallRow
from trunkline_ledger.savings import OF_ANSWERS, saved

Row = RunRow | ModelCallRow | AskedToolRow | ToolCallRow | SavingRow
MOST_OF_A_RUN = 2**62
"""Picodollars, 4.6 million dollars: what a 64-bit column can still be added to."""
BUDGET_NOTES = ("budget_warning", "cheaper", "refused")
"""What notes say that a limit did to a run, the gravest last."""
_REMARKS = (Note, Feedback, Cancel)


@dataclass(slots=True)
class RunRows:
    """What the ledger knows of one run."""

    run: RunRow | None = None
    model_calls: models.Attempts = field(default_factory=dict)
    tool_calls: dict[str, ToolCallRow] = field(default_factory=dict)
    savings: dict[tuple[str, str, str], SavingRow] = field(default_factory=dict)

    def put(self, row: Row) -> None:
        match row:
            case RunRow():
                self.run = row
            case ModelCallRow():
                self.model_calls[row.step, row.attempt] = row
            case ToolCallRow():
                self.tool_calls[row.step] = row
            case SavingRow():
                self.savings[row.kind, row.name, row.step] = row


def project(known: RunRows, event: Event, prices: PriceBook) -> tuple[Row, ...]:
    """The rows that `event` changes, as they are after it; an event that the run has seen changes none.

    Raises BadMessage for an event that cannot be believed: impossible numbers, or a run of somebody else.
    """
    before = known.run
    if before is None:
        if isinstance(event.fact, _REMARKS):
            return ()
        before = _opened(event)
    elif event.sequence <= before.last_sequence:
        return ()
    _same_owner(before, event)
    calls = _model_calls(known, event, prices)
    rows: list[ModelCallRow | ToolCallRow | SavingRow] = [*calls, *_tool_calls(known, event)]
    rows += saved(known.savings, event)
    run = _lifecycle(before, event, known)
    for row in rows:
        run = _counted(run, known, row)
    asked = models.asked_tools(calls[0], event.fact) if calls and isinstance(event.fact, Model) else ()
    return (replace(run, events=run.events + 1, last_sequence=event.sequence, last_at=event.at), *rows, *asked)


def _opened(event: Event) -> RunRow:
    subject = event.subject
    return RunRow(
        run=subject.run,
        tenant=subject.tenant,
        conversation=subject.conversation,
        first_sequence=event.sequence,
        last_sequence=event.sequence,
        opened_at=event.at,
        last_at=event.at,
    )


def _same_owner(run: RunRow, event: Event) -> None:
    subject = event.subject
    if (subject.tenant, subject.conversation) != (run.tenant, run.conversation):
        raise BadMessage(
            f"run {run.run} belongs to {run.tenant}.{run.conversation}, not to "
            f"{subject.tenant}.{subject.conversation}.",
            "Its publisher took a run id that is in use.",
        )


def _model_calls(known: RunRows, event: Event, prices: PriceBook) -> tuple[ModelCallRow, ...]:
    ended = known.run is not None and known.run.ended
    match event.fact:
        case Prompt() as fact:
            return models.prompted(known.model_calls, event, fact, prices, ended=ended)
        case Model() as fact:
            return models.returned(known.model_calls, event, fact, prices)
        case Note() as fact:
            return models.noted(known.model_calls, event, fact, prices, ended=ended)
        case Answer() if not ended:
            return models.abandoned(known.model_calls, event.at, prices)
    return ()


def _tool_calls(known: RunRows, event: Event) -> tuple[ToolCallRow, ...]:
    step, _ = attempt_of(event.subject.kind, event.subject.step)
    row = known.tool_calls.get(step)
    match event.fact:
        case Call() as fact:
            return tools.called(row, event, fact)
        case Started() as fact:
            return tools.started(row, event, fact)
        case Approval() as fact:
            return tools.waiting(row, event, fact)
        case Decision() as fact:
            return tools.decided(row, event, fact)
        case Result() as fact:
            return tools.finished(row, event, fact)
        case Answer() if known.run is None or not known.run.ended:
            return tools.abandoned(known.tool_calls)
    return ()


def _lifecycle(run: RunRow, event: Event, known: RunRows) -> RunRow:
    match event.fact:
        case Request() as fact:
            return _requested(run, event, fact)
        case Task() as fact:
            return _tasked(run, event, fact)
        case Prompt() as fact:
            return _begun(run, event, took_over=models.takes_over(known.model_calls, event, fact))
        case Model() if not run.agent:
            return replace(run, agent=event.subject.name)
        case Answer() as fact:
            return _answered(run, event, fact, known)
        case Cancel(code="cancelled" | "replaced") as fact if not run.ended and run.cancelled_by is None:
            return replace(run, status="cancelled", cancelled_by=text(fact.by))
        case Feedback() as fact if fact.verdict in {-1, 0, 1}:
            return replace(run, verdict=fact.verdict, correction=text(fact.agent) or None)
        case Note(what=what) if what in BUDGET_NOTES:
            return replace(run, budget=max(run.budget, what, key=("", *BUDGET_NOTES).index))
    return run


def _requested(run: RunRow, event: Event, fact: Request) -> RunRow:
    if run.requested_at is not None:
        return run
    return replace(
        run,
        requested_at=event.at,
        user=text(fact.user) or run.user,
        question=text(fact.text, QUESTION_CHARACTERS),
        agent=run.agent or text(fact.agent),
    )


def _tasked(run: RunRow, event: Event, fact: Task) -> RunRow:
    if run.tasked_at is not None:
        return run
    parent = fact.parent
    if parent is not None and parent.run == run.run:
        raise BadMessage(f"run {run.run} says that it is its own parent.")
    return replace(
        run,
        tasked_at=event.at,
        agent=event.subject.name,
        user=run.user or text(fact.user),
        question=run.question or text(fact.text, QUESTION_CHARACTERS),
        tier=text(fact.tier),
        route_confidence=fact.route.confidence if 0 <= fact.route.confidence <= 1 else None,
        route_source=text(fact.route.source),
        route_ms=elapsed(run.requested_at, event.at),
        parent=text(parent.run) if parent else None,
        parent_step=text(parent.step) if parent else None,
    )


def _begun(run: RunRow, event: Event, *, took_over: bool) -> RunRow:
    takeovers = run.takeovers + took_over
    if run.begun_at is not None:
        return replace(run, takeovers=takeovers)
    return replace(
        run,
        takeovers=takeovers,
        begun_at=event.at,
        agent=run.agent or event.subject.name,
        queue_ms=elapsed(run.tasked_at, event.at),
    )


def _answered(run: RunRow, event: Event, fact: Answer, known: RunRows) -> RunRow:
    if run.ended:
        return run
    spared = sum(row.cost or 0 for row in known.savings.values() if row.lever in OF_ANSWERS)
    return replace(
        run,
        status=_status(run, fact),
        answered_at=event.at,
        agent=run.agent or text(fact.agent),
        failure=text(fact.error.code) if fact.error else None,
        source=text(fact.source),
        saved=min(run.saved + (spared if fact.source == models.CACHE else 0), MOST_OF_A_RUN),
        reusable=fact.reusable,
        answer_cost=amount(fact.cost),
        total_ms=elapsed(run.requested_at or run.opened_at, event.at),
    )


def _status(run: RunRow, fact: Answer) -> RunStatus:
    if fact.error is None:
        return "answered"
    return "cancelled" if run.cancelled_by is not None or fact.error.code == "cancelled" else "failed"


def _counted(run: RunRow, known: RunRows, row: ModelCallRow | ToolCallRow | SavingRow) -> RunRow:
    """The run's totals, with what `row` counts now instead of what it counted before."""
    before: dict[str, float] | None = None
    if isinstance(row, ModelCallRow):
        counted, was = models.share(row), known.model_calls.get((row.step, row.attempt))
        before = models.share(was) if was else None
    elif isinstance(row, ToolCallRow):
        counted, earlier = tools.share(row), known.tool_calls.get(row.step)
        before = tools.share(earlier) if earlier else None
    else:
        counted = {"saved": row.cost or 0}
        if row.lever in OF_ANSWERS and run.source != models.CACHE:
            before = counted
    changes = {name: getattr(run, name) + value - (before[name] if before else 0) for name, value in counted.items()}
    for name in ("model_ms", "tool_ms"):
        if name in changes:
            changes[name] = round(changes[name], 3)
    if max(changes.get("cost", 0), changes.get("saved", 0), counted.get("saved", 0)) > MOST_OF_A_RUN:
        raise BadMessage(f"run {run.run} would cost more than a run can.")
    return replace(run, **changes)
