"""What a watcher sees of a run while it is under way."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.contracts.ids import tool_name
from trunkline.contracts.messages import Call, Fact, Failure, Model, Note, Prompt, Result, Started, Task
from trunkline.contracts.subjects import Subject


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
            sure = (
                f" ({route.source}, {route.confidence:.0%} sure)"
                if route.source not in ("only_agent", "asked_for")
                else ""
            )
            return f"{name} takes it{sure}"
        case Prompt(attempt=attempt):
            return f"{name} thinks" if attempt == 1 else f"another worker of {name} took over"
        case Model(error=Failure() as error):
            return f"the model failed: {error.message}"
        case Call():
            return "waits" if name == "timer" else f"runs {tool_name(name)}"
        case Started():
            return f"{tool_name(name)} has begun"
        case Result(tool=tool, error=Failure() as error) if tool:
            return f"{tool} failed: {error.message}"
        case Result(tool=tool) if tool and tool != "timer":
            return f"{tool} is done"
        case Result(run=run) if run:
            return "the other agent has answered"
        case Note(what=what) if what == "takeover":
            return f"another worker of {name} took over"
    return ""
