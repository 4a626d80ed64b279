"""A run step by step in the terminal: when, who, why, and what was said."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from trunkline.cli.console import clean, err, out, print_json, print_lines, text
from trunkline.cli.figures import clock, duration, short
from trunkline.contracts.ids import tool_name
from trunkline.contracts.messages import (
    Answer,
    Call,
    Cancel,
    Decision,
    Fact,
    Model,
    Prompt,
    Request,
    Result,
    Started,
    Task,
)
from trunkline.run.divergence import Record

if TYPE_CHECKING:
    from rich.text import Text

    from trunkline.contracts.codec import Event
    from trunkline.contracts.subjects import RunKey

LABEL = 15
NARROWEST = 20
PAYLOAD_LINES = 40
HIDDEN = frozenset(("id", "v", "kind", "traceparent", "input_hash", "turn", "version", "executor", "agent"))
"""Of a payload: what stands above it already, and what only recovery needs."""


def walk(key: RunKey, events: Sequence[Event], *, as_json: bool, stop: bool) -> None:
    """Show every step of the run; where somebody looks on, one at a time."""
    steps = list(_steps(key, events))
    if as_json:
        print_json(steps)
        return
    out().print(text(("run ", "faint"), key.run, (f" · conversation {clean(key.conversation)}", "faint")))
    stop = stop and out().is_terminal and sys.stdin.isatty()
    for number, step in enumerate(steps, 1):
        out().print()
        print_lines(_shown(step, number, len(steps)))
        if stop and number < len(steps) and not _go_on():
            return


def _go_on() -> bool:
    """After a key: the next step, unless it was q."""
    import click

    err().print("  — any key: next step, q: leave —", style="faint", end="\r")
    try:
        pressed = click.getchar()
    finally:
        err().print(" " * 40, end="\r")
    return pressed.lower() not in ("q", "\x03", "\x1b")


def _steps(key: RunKey, events: Sequence[Event]) -> Iterator[dict[str, Any]]:
    own = [event for event in events if event.subject.run == key.run]
    record = Record(key, events)
    places = {event.sequence: event for event in own}
    for event in own:
        subject, fact = event.subject, event.fact
        yield {
            "sequence": event.sequence,
            "at": event.at,
            "ms": round((event.at - own[0].at).total_seconds() * 1000, 3),
            "kind": subject.kind,
            "name": tool_name(subject.name)
            if subject.kind in ("call", "started", "approval", "decision")
            else subject.name,
            "step": subject.step,
            "who": _who(fact, subject.name),
            "why": _why(fact, places),
            "payload": _payload(event, record),
        }


def _who(fact: Fact, name: str) -> str:
    """Who wrote it, as far as it says so."""
    match fact:
        case Request(user=user, agent=agent):
            return (user or "a client") + (f", for agent {agent}" if agent else "")
        case Task(parent=parent):
            return f"agent {parent.agent}, in run {short(parent.run)}" if parent else "the router"
        case Prompt(worker=worker, version=version):
            return f"worker {worker}" + (f", code {version}" if version else "")
        case Call(agent=agent, version=version):
            return f"agent {agent}" + (f", code {version}" if version else "")
        case Model(model=model):
            return model
        case Started(executor=executor) | Result(executor=executor) if executor:
            return f"executor {executor}"
        case Result(run=run, agent=agent) if run:
            return f"agent {agent}, in run {short(run)}"
        case Decision(by=by) | Cancel(by=by):
            return by
        case Answer(agent=agent):
            return f"agent {agent}" if agent else "the platform"
    return name


def _why(fact: Fact, places: dict[int, Event]) -> str:
    match fact:
        case Task(route=route, parent=None):
            return f"{route.source}, {route.confidence:.0%} sure"
        case Task(parent=parent) if parent:
            return f"step {parent.step} of that run asks for it"
        case Prompt(carrier=carrier, delivery=delivery, attempt=attempt):
            bearer = places.get(carrier)
            what = f"the {bearer.subject.kind} at {carrier}" if bearer else f"message {carrier}"
            again = f", delivery {delivery}" if delivery > 1 else ""
            return f"{what} came{again}" + (f"; attempt {attempt}" if attempt > 1 else "")
        case Model(attempt=attempt):
            return f"attempt {attempt} came back" if attempt > 1 else "it came back"
        case Call(turn=turn):
            return f"turn {turn.number}" + (f", with {turn.of - 1} more at once" if turn.of > 1 else "")
        case Result(turn=turn):
            return f"turn {turn.number}"
        case Cancel(reason=reason):
            return reason
    return ""


def _payload(event: Event, record: Record) -> dict[str, Any]:
    """What it says; a prompt, what the model is told beyond what it was told before."""
    match event.fact:
        case Prompt(model=model, base=base, said=said) if base:
            return {"model": model, "told": f"as at step {base}, then", "said": msgspec.to_builtins(list(said))}
        case Prompt(model=model):
            return {"model": model, "told": record.told(event.subject.step.rpartition("-")[0])}
    body = event.body if event.raw[:1] == b"{" else msgspec.to_builtins(event.fact)
    return {name: value for name, value in body.items() if name not in HIDDEN}


def _shown(step: dict[str, Any], number: int, of: int) -> Iterator[Text]:
    kind, name, at = step["kind"], clean(step["name"]), clock(step["at"], milliseconds=True)
    yield text(
        (f"{number:>{len(str(of))}}/{of}  ", "faint"),
        (f"{at}  +{duration(step['ms'])}  ", "faint"),
        (kind, f"kind.{kind}"),
        " ",
        (name, "name"),
        (f"  step {step['step']}  · message {step['sequence']}", "faint"),
    )
    indent = " " * (2 * len(str(of)) + 3)
    for label in ("who", "why"):
        if step[label]:
            yield text((f"{indent}{label:<{LABEL}}", "faint"), clean(step[label]))
    for label, value in step["payload"].items():
        yield from _value(indent, label, value)


def _value(indent: str, label: str, value: object) -> Iterator[Text]:
    written = value if isinstance(value, str) else orjson.dumps(value, option=_json_style(value), default=str).decode()
    first, *rest = _wrapped(clean(written, lines=True), len(indent) + LABEL)
    yield text((f"{indent}{label:<{LABEL}}", "faint"), first)
    for line in rest[: PAYLOAD_LINES - 1]:
        yield text(indent, " " * LABEL, line)
    if len(rest) >= PAYLOAD_LINES:
        yield text(
            (f"{indent}{'':<{LABEL}}… {len(rest) - PAYLOAD_LINES + 1} more lines: --json has all of it", "faint")
        )


def _wrapped(written: str, before: int) -> list[str]:
    """Its lines, none wider than what the terminal has left of `before`: what was said is not cut short."""
    from rich.text import Text

    width = max(NARROWEST, out().width - before)
    return [line.plain.rstrip() for line in Text(written).wrap(out(), width)] or [""]


def _json_style(value: object) -> int:
    """On one line when it fits."""
    short_enough = len(orjson.dumps(value, default=str)) <= 80
    return 0 if short_enough else orjson.OPT_INDENT_2
