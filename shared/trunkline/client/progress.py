"""What a watcher sees of a run while it is under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.contracts.dialog import ToolCall
from trunkline.contracts.ids import tool_name
from trunkline.contracts.messages import Call, Fact, Failure, Model, Note, Prompt, Result, Route, Started, Task
from trunkline.contracts.subjects import TIMER, Subject
from trunkline.run.loop import ASK


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
    text = _sentence(subject.name, fact)
    return Progress(subject.kind, subject.name, subject.step, text) if text else None


def _sentence(name: str, fact: Fact) -> str:
    match fact:
        case Task(route=route):
            return f"{name} takes it{_why(route)}"
        case Prompt(attempt=attempt):
            return f"{name} thinks" if attempt == 1 else f"another worker of {name} took over"
        case Model(error=Failure() as error):
            return f"the model failed: {error.message}"
        case Model(calls=calls):
            return _asks(calls)
        case Call():
            return "waits" if name == TIMER else f"runs {tool_name(name)}"
        case Started():
            return f"{tool_name(name)} has begun"
        case Result():
            return _came(fact)
        case Note(what=what) if what == "takeover":
            return f"another worker of {name} took over"
    return ""


def _why(route: Route) -> str:
    match route.source:
        case "only_agent" | "asked_for":
            return ""
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
