"""What a watcher sees of a run while it is under way."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trunkline.contracts.attempts import call_name
from trunkline.contracts.dialog import ToolCall
from trunkline.contracts.errors import OverBudget, UnknownPrice
from trunkline.contracts.ids import tool_name
from trunkline.contracts.messages import (
    Approval,
    Call,
    Decision,
    Fact,
    Failure,
    Model,
    Note,
    Prompt,
    Result,
    Route,
    Started,
    Task,
)
from trunkline.contracts.subjects import TIMER, Subject
from trunkline.run.loop import ASK

SHOWN_ARGUMENTS = 100
NOT_ASKED = frozenset({OverBudget.code, UnknownPrice.code})
"""Failures of which no model knows."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer as it is written. `restart`: what came before is void, the text begins anew."""

    text: str
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """One step was recorded: its kind, who or what it is about, and a sentence for people."""

    kind: str
    name: str
    step: str
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The end of the run: `text`, or what went wrong in `error`."""

    run: str
    conversation: str
    agent: str
    text: str
    error: Failure | None = None


StreamItem = TextDelta | Progress | Answered


def describe(subject: Subject, fact: Fact) -> Progress | None:
    """A step in a sentence; None for what a user need not see."""
    text = _sentence(subject.name, fact) or _of_people(subject, fact)
    return Progress(subject.kind, subject.name, subject.step, text) if text else None


def spoken_call(tool: str, arguments: Mapping[str, object]) -> str:
    """A call as people write it, cut short: `refund(invoice=17, cents=500)`."""
    given = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False, default=str)}" for name, value in arguments.items()
    )
    return f"{tool}({given if len(given) <= SHOWN_ARGUMENTS else given[: SHOWN_ARGUMENTS - 1] + '…'})"


def _of_people(subject: Subject, fact: Fact) -> str:
    tool = tool_name(subject.name)
    match fact:
        case Approval(reason="in_doubt", arguments=arguments):
            return f"waits for a person: did {spoken_call(tool, arguments)} happen? Say so: trunkline doubts"
        case Approval(arguments=arguments):
            call = call_name(subject.run, subject.step)
            return f"waits for a person: {spoken_call(tool, arguments)} must be approved: trunkline approve {call}"
        case Decision(verdict=verdict, by=by):
            return f"{tool}: {verdict.replace('_', ' ')}, says {by}"
    return ""


def _sentence(name: str, fact: Fact) -> str:
    match fact:
        case Task(route=route):
            return f"{name} takes it{_why(route)}"
        case Prompt(attempt=attempt):
            return f"{name} thinks" if attempt == 1 else ""
        case Model(error=Failure(code=code, message=message)):
            return message if code in NOT_ASKED else f"the model failed: {message}"
        case Model(calls=calls):
            return _asks(calls)
        case Call():
            return "waits" if name == TIMER else f"runs {tool_name(name)}"
        case Started():
            return f"{tool_name(name)} has begun"
        case Result():
            return _came(fact)
        case Note(what=what, data=data):
            return _remark(name, what, data) or _of_budgets(what, data) or _of_answers(what, data)
    return ""


def _of_budgets(what: str, data: Mapping[str, object]) -> str:
    match what:
        case "cheaper":
            return f"{data.get('message', 'It is too dear.')} {data.get('model', 'another model')} is asked instead."
        case "budget_warning":
            return f"most of {_budget(data)} is spent or held back: ${data.get('spent')} of ${data.get('limit')}"
    return ""


def _budget(data: Mapping[str, object]) -> str:
    owner, _, window = str(data.get("kind", "")).partition("-")
    if not window:
        return f"the budget of this {owner}"
    return f"the budget of {owner} {data.get('who')} for {'today' if window == 'day' else f'this {window}'}"


def _of_answers(what: str, data: Mapping[str, object]) -> str:
    match what, data.get("lever"):
        case "waiting_for_same", _:
            return "waits for the answer to the same question"
        case "saving", "answer_cache":
            return "was answered before"
        case "saving", "alike_cache":
            return "a question like it was answered before"
    return ""


def _remark(name: str, what: str, data: Mapping[str, object]) -> str:
    why = data.get("message") or "the model failed"
    match what:
        case "waiting":
            return "waits for the earlier question"
        case "classify":
            return f"asks {data.get('model', 'a model')} who is to answer"
        case "reconciled":
            return (
                f"{data.get('tool', 'a tool')} had{'' if data.get('done') else ' not'} done its work before it was lost"
            )
        case "takeover":
            return f"another worker of {name} took over"
        case "retry":
            return f"{why} It is asked again."
        case "fallback":
            return f"{why} {data.get('next', 'another model')} is asked instead."
        case "escalated":
            return f"the small model's answer did not pass; the {data.get('to', 'large')} one is asked"
        case "kept":
            return f"the small model's answer stands, though it did not pass: {data.get('why', 'over budget')}"
        case "fallback_answer":
            return f"{name} cannot answer itself: {data.get('why', 'its model failed')}"
    return ""


def _why(route: Route) -> str:
    match route.source:
        case "only_agent" | "asked_for" | "conversation" | "greeting":
            return ""
        case "example":
            return " (one of its examples)"
        case "several":
            return " (several questions)"
        case "fallback":
            return " (fits nobody else)"
    return f" ({route.source}, {route.confidence:.0%} sure)"


def _asks(calls: Sequence[ToolCall]) -> str:
    """The task of a delegated run is on its own subjects; the model's reply says already that it comes."""
    asked = [call.tool.removeprefix(ASK) for call in calls if call.tool.startswith(ASK)]
    return f"asks {' and '.join(dict.fromkeys(asked))}" if asked else ""


def _came(result: Result) -> str:
    if result.tool == TIMER or not (result.tool or result.run):
        return ""
    if result.error:
        return f"{result.tool or result.agent or 'the other agent'} failed: {result.error.message}"
    return f"{result.tool} is done" if result.tool else f"{result.agent or 'the other agent'} has answered"
