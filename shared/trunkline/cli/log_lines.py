"""One event of the log: as a line for people, and as a JSON object that keeps what this version does not know."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
from rich.text import Text

from trunkline.cli.console import clean, text
from trunkline.cli.figures import clock, count, duration, short
from trunkline.cli.note_words import words
from trunkline.contracts.codec import decode_fact
from trunkline.contracts.errors import WireViolation
from trunkline.contracts.ids import tool_name
from trunkline.contracts.messages import (
    Answer,
    Approval,
    Call,
    Cancel,
    Decision,
    Fact,
    Feedback,
    Model,
    Note,
    Prompt,
    Request,
    Result,
    Started,
    Task,
)
from trunkline.contracts.subjects import Subject

if TYPE_CHECKING:
    from trunkline.bus import StoredMessage

OF_TOOLS = ("call", "started", "approval", "decision")


def as_data(message: StoredMessage, raw: bytes) -> dict[str, Any]:
    """`body` is the JSON, or the text of what is not JSON."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = raw.decode(errors="replace")
    return {"sequence": message.sequence, "at": message.at, "subject": message.subject, "body": body}


def as_line(message: StoredMessage, raw: bytes, *, wide: bool) -> Text:
    """Time, kind, run, name, the step when there is room, and what happened."""
    at = (f"{_time(message.at)}  ", "faint")
    try:
        subject = Subject.parse(message.subject)
        said = summary(decode_fact(subject.kind, raw))
    except WireViolation as error:
        return text(at, (f"{'?':<9}", "bad"), clean(message.subject), ("  " + clean(error.what), "bad"))
    name = tool_name(subject.name) if subject.kind in OF_TOOLS else subject.name
    style = f"kind.{subject.kind}"
    return text(
        at,
        (f"{subject.kind:<9}", style),
        (short(subject.run)[:9], "faint"),
        f"{short(subject.run)[9:]}  ",
        (f"{name:<14} ", "name"),
        (f"{subject.step:<7} " if wide else "", "faint"),
        clean(said),
    )


def summary(fact: Fact) -> str:
    """What the fact says, in a few words."""
    return _order(fact) or _outcome(fact) or _decision(fact) or _remark(fact)


def _order(fact: Fact) -> str:
    match fact:
        case Request(text=said, agent=agent):
            return f"{said}  (for {agent})" if agent else said
        case Task(parent=parent, text=said) if parent:
            return f"asked by {parent.agent}: {said}"
        case Task(route=route):
            return f"{route.source}, {route.confidence:.0%} sure"
        case Prompt(model=model, attempt=attempt):
            return model if attempt == 1 else f"{model}, attempt {attempt}"
        case Call(arguments=arguments):
            return _json(arguments)
        case Started(executor=executor, isolation=isolation, attempt=attempt):
            again = f", attempt {attempt}" if attempt > 1 else ""
            return f"on {executor}" + (f", {isolation}" if isolation else "") + again
    return ""


def _outcome(fact: Fact) -> str:
    match fact:
        case Model(error=error) | Result(error=error) | Answer(error=error) if error:
            return f"failed: {error.message}"
        case Model(source="cache"):
            return "given before, nobody was asked"
        case Model(usage=usage, calls=calls, latency_ms=latency):
            wants = f", calls {', '.join(call.tool for call in calls)}" if calls else ""
            return f"{duration(latency)}, {count(usage.input_tokens)} in, {count(usage.output_tokens)} out{wants}"
        case Result(tool=tool, duration_ms=took, value=value) if tool:
            return f"{tool_name(tool)} in {duration(took)}: {_json(value)}"
        case Result(run=run, value=value):
            return f"run {short(run)}: {_json(value)}" if run else _json(value)
        case Answer(text=said, source=source):
            return f"(given before) {said}" if source == "cache" else said
    return ""


def _decision(fact: Fact) -> str:
    match fact:
        case Approval(arguments=arguments, reason=reason):
            what = "a person must say what became of it" if reason == "in_doubt" else "a person must decide"
            return f"{what}: {_json(arguments)}"
        case Decision(verdict=verdict, by=by):
            return f"{verdict} by {by}"
        case Cancel(by=by, reason=reason):
            return " ".join(filter(None, ["cancelled", f"by {by}" if by else "", reason]))
    return ""


def _remark(fact: Fact) -> str:
    match fact:
        case Note(what=what, data=data):
            said = words(what, data)
            return f"{what}: {said}" if said else f"{what} {_json(data)}" if data else what
        case Feedback(verdict=verdict, agent=agent, comment=comment):
            better = f"{agent} should have answered" if agent else ""
            return " ".join(filter(None, [f"{verdict:+d}", better, comment]))
    return ""


def _json(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def _time(at: datetime) -> str:
    return clock(at, milliseconds=True)
