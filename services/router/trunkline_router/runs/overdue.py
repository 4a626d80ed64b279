"""Why a run is not done in time: what it waits for, in words. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from trunkline.contracts.codec import Event
from trunkline.contracts.ids import tool_name
from trunkline.contracts.messages import Approval, Call, Cancel, Prompt
from trunkline.contracts.subjects import ROUTER, TIMER
from trunkline_router.runs.open_runs import OpenRun

BEFORE_BEGINNING = ("request", "task", "cancel", "feedback")


def out_of_time(run: OpenRun, events: Sequence[Event], children: Collection[OpenRun]) -> Cancel:
    """Of a run whose deadline has passed. `events` are all of it, `children` the open runs that it delegated to."""
    what, since = _awaited(run, events, children)
    began = events[0].at if events else since
    return Cancel(
        code="deadline_passed",
        reason=f"The run had not ended after {_duration((run.deadline - began).total_seconds())}: "
        f"since {since.astimezone(UTC):%H:%M:%S} UTC it waited for {what}.",
    )


def left_waiting(run: OpenRun, seconds: float, *, workers: int, earlier: Sequence[OpenRun]) -> Cancel:
    """Of a run with which nobody began within `seconds`. `workers` of its agent are registered."""
    if run.placed and not workers:
        why = f"no worker of agent {run.agent} is registered"
    elif run.placed:
        why = f"the workers of agent {run.agent} ({workers} registered) were busy with other runs"
    elif earlier:
        why = f"an earlier question of the conversation, run {earlier[0].key.run}, has no answer yet"
    else:
        why = "the router gave it to no agent"
    return Cancel(code="queue_timeout", reason=f"Nobody began with the run within {_duration(seconds)}: {why}.")


def has_begun(events: Iterable[Event]) -> bool:
    """Whether the log shows that somebody works on the run."""
    return any(event.subject.kind not in BEFORE_BEGINNING and event.subject.name != ROUTER for event in events)


def _awaited(run: OpenRun, events: Sequence[Event], children: Collection[OpenRun]) -> tuple[str, datetime]:
    """What the run waits for, and since when."""
    settled = {(event.subject.kind, event.subject.step) for event in events}
    asked: dict[str, list[Event]] = {"person": [], "tool": [], "model": []}
    for event in events:
        step = event.subject.step
        match event.fact:
            case Approval() if settled.isdisjoint({("decision", step), ("result", step)}):
                asked["person"].append(event)
            case Call() if ("result", step) not in settled:
                asked["tool"].append(event)
            case Prompt() if settled.isdisjoint({("model", step), ("model", step.rpartition("-")[0])}):
                asked["model"].append(event)
    if asked["person"]:
        return f"a person to decide on {_tools(asked['person'])}", asked["person"][0].at
    if asked["tool"]:
        return _tools(asked["tool"]), asked["tool"][0].at
    if asked["model"]:
        prompt = asked["model"][-1]
        model = prompt.fact.model if isinstance(prompt.fact, Prompt) else ""
        return f"the model {model}, which agent {prompt.subject.name} asked", prompt.at
    return _whom(run, children), events[-1].at if events else run.queue_ends


def _whom(run: OpenRun, children: Collection[OpenRun]) -> str:
    if children:
        return f"agent {' and '.join(sorted({child.agent for child in children}))}, whom it had asked"
    if run.placed:
        return f"agent {run.agent}"
    if run.waits_for_same:
        return "another run, which answers the same question"
    return "an earlier question of its conversation" if run.parked else "the router"


def _tools(events: Iterable[Event]) -> str:
    names = dict.fromkeys(event.subject.name for event in events)
    said = ["its own sleep" if name == TIMER else f"the tool {tool_name(name)}" for name in names]
    return " and ".join(said)


def _duration(seconds: float) -> str:
    return f"{round(seconds, 1):g} s" if seconds < 120 else str(timedelta(seconds=round(seconds)))
