"""One run as the log tells it, by kinds and steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TypeVar

from trunkline.contracts.codec import Event
from trunkline.contracts.messages import Call, Decision, Fact, Model, Note, Prompt, Started
from trunkline.contracts.subjects import RunKey

F = TypeVar("F", bound=Fact)
TOOLS = "tools"
"""Who notes what executors do."""
TAKEOVER, RETRY = "takeover-", "retry-"
"""How notes begin that say why there is another attempt: `takeover-<step>-<this>`, `retry-<step>-<the one before>`."""


class RunLog:
    """One run's events in the order of the log."""

    def __init__(self, key: RunKey, events: Sequence[Event]) -> None:
        self.key = key
        self.events = events

    def of(self, kind: type[F]) -> list[tuple[Event, F]]:
        return [(event, event.fact) for event in self.events if isinstance(event.fact, kind)]

    @cached_property
    def prompts(self) -> dict[str, list[tuple[Event, Prompt]]]:
        """By step, in the order of their attempts."""
        found: dict[str, list[tuple[Event, Prompt]]] = defaultdict(list)
        for event, prompt in sorted(self.of(Prompt), key=lambda each: each[1].attempt):
            found[event.subject.step.rpartition("-")[0]].append((event, prompt))
        return found

    @cached_property
    def models(self) -> dict[str, tuple[Event, Model]]:
        return {event.subject.step: (event, model) for event, model in self.of(Model)}

    @cached_property
    def calls(self) -> dict[str, tuple[Event, Call]]:
        return {event.subject.step: (event, call) for event, call in self.of(Call)}

    @cached_property
    def starts(self) -> dict[str, list[tuple[Event, Started]]]:
        """By the call's step."""
        found: dict[str, list[tuple[Event, Started]]] = defaultdict(list)
        for event, started in self.of(Started):
            found[event.subject.step.partition("-")[0]].append((event, started))
        return found

    @cached_property
    def retried(self) -> set[tuple[str, int]]:
        """The step and attempt of every attempt that follows on a recorded failure."""
        return {(step, attempt + 1) for step, attempt in self._noted(RETRY)}

    @cached_property
    def taken_over(self) -> set[tuple[str, int]]:
        return set(self._noted(TAKEOVER))

    def _noted(self, beginning: str) -> Iterator[tuple[str, int]]:
        for event, _note in self.of(Note):
            step, _, attempt = event.subject.step.removeprefix(beginning).rpartition("-")
            if event.subject.step.startswith(beginning) and event.subject.name != TOOLS:
                yield step, int(attempt)

    @cached_property
    def known_not_done(self) -> set[tuple[str, int]]:
        """The step and attempt of every start of which it is recorded that it had no effect, or may be tried again."""
        notes = [event for event, note in self.of(Note) if note.what == "reconciled" and not note.data["done"]]
        decisions = [event for event, decision in self.of(Decision) if decision.verdict == "retry"]
        steps = [event.subject.step.partition("-")[2] for event in [*notes, *decisions]]
        return {(step.rpartition("-")[0], int(step.rpartition("-")[2])) for step in steps}


def runs_of(events: Sequence[Event]) -> list[RunLog]:
    found: dict[RunKey, list[Event]] = defaultdict(list)
    for event in events:
        found[RunKey.of(event.subject)].append(event)
    return [RunLog(key, each) for key, each in found.items()]
