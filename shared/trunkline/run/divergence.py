"""When changed code meets an old run: what the step asked then, what it asks now, and where they differ."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from trunkline.bus import Bus, fold
from trunkline.contracts.codec import Event
from trunkline.contracts.dialog import Message
from trunkline.contracts.errors import Divergence
from trunkline.contracts.messages import Call, Head, Prompt, Task
from trunkline.contracts.subjects import RunKey
from trunkline.run.inputs import told_to_model
from trunkline.run.state import state_of, told_before

SHOWN_LINES = 12
SHOWN_CHARACTERS = 160
KEPT_CHARACTERS = 16_000


class Record:
    """What a run's steps asked for, by the log: the run's events, its conversation's, and its children's tasks."""

    def __init__(self, key: RunKey, events: Sequence[Event]) -> None:
        self._key = key
        self._prompts: dict[str, Prompt] = {}
        self._calls: dict[str, tuple[str, Call]] = {}
        self._tasks: dict[str, tuple[str, Task]] = {}
        self._before = told_before(state_of(key, events))
        for event in events:
            self._take(event)

    @property
    def steps(self) -> list[str]:
        """All that is recorded, in the order of the log."""
        return list({**self._prompts, **self._calls, **self._tasks})

    def told(self, step: str) -> dict[str, Any] | None:
        """What `step` asked for, as JSON; None when that is not on the log."""
        if step in self._prompts:
            head, messages = self._model_input(step)
            return told_to_model(head, messages)
        if step in self._calls:
            tool, call = self._calls[step]
            return {"tool": tool, "arguments": call.arguments}
        if step in self._tasks:
            agent, task = self._tasks[step]
            return {"agent": agent, "question": task.text}
        return None

    def _model_input(self, step: str) -> tuple[Head, tuple[Message, ...]]:
        prompt = self._prompts[step]
        if prompt.base in self._prompts and prompt.base != step:
            head, before = self._model_input(prompt.base)
            return prompt.head or head, (*before, *prompt.said)
        before = self._before[prompt.skipped : prompt.history]
        return prompt.head or Head(), (*prompt.opening, *before, *prompt.said)

    def _take(self, event: Event) -> None:
        step = event.subject.step
        match event.fact:
            case Prompt() if event.subject.run == self._key.run:
                self._prompts[step.rpartition("-")[0]] = event.fact
            case Call() if event.subject.run == self._key.run:
                self._calls[step] = (event.subject.name, event.fact)
            case Task(parent=parent) if parent and parent.run == self._key.run:
                self._tasks[parent.step] = (event.subject.name, event.fact)


@dataclass(frozen=True, slots=True)
class Difference:
    """What `step` asked for then, and what it asks for now; None: nothing."""

    step: str
    recorded: dict[str, Any] | None
    asked: dict[str, Any] | None

    @property
    def lines(self) -> list[str]:
        """What only the record has, after `- `; what only the code asks, after `+ `."""
        compared = difflib.ndiff(_lines(self.recorded), _lines(self.asked))
        return [line for line in compared if line.startswith(("- ", "+ "))]


async def record_of(bus: Bus, key: RunKey) -> Record:
    """Raises BusUnavailable."""
    return Record(key, await fold(bus, key.everything, *key.around))


def diverged(found: Difference) -> Divergence:
    """The error that shows both inputs; its `data` has them whole unless they are very long."""
    lines = found.lines
    shown = "\n".join(line[:SHOWN_CHARACTERS] for line in lines[:SHOWN_LINES])
    more = f"\n… and {len(lines) - SHOWN_LINES} more lines" if len(lines) > SHOWN_LINES else ""
    data: dict[str, Any] = {"step": found.step, "recorded": found.recorded, "asked": found.asked}
    if sum(len(str(value)) for value in data.values()) > KEPT_CHARACTERS:
        data = {"step": found.step, "difference": lines[:100]}
    return Divergence(
        f"The agent's code asks for something else at step {found.step} than what this run recorded:\n{shown}{more}",
        "Finish old runs with the old version, or ask again.",
        **data,
    )


def _lines(value: dict[str, Any] | None) -> list[str]:
    if value is None:
        return []
    return (
        orjson.dumps(msgspec.to_builtins(value), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode().split("\n")
    )
