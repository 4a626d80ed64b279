"""What stands on the log of a run, kept by the checker in its own way: nothing here asks the product."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Opened:
    """A `prompt`: what its worker may pay for once. `failed` once the log says that it came to nothing."""

    sequence: int
    step: str
    attempt: int
    carrier: int
    delivery: int
    worker: str
    model: str
    paid: bool = False
    failed: bool = False

    def __str__(self) -> str:
        return f"attempt {self.attempt} of step {self.step}, by {self.worker} with delivery {self.delivery}"


@dataclass(slots=True)
class Started:
    """What an executor may do once."""

    executor: str
    used: bool = False


@dataclass
class Turn:
    """`of` steps were issued together; `results` are the sequences of those that came back."""

    of: int
    issued: set[str] = field(default_factory=set)
    results: dict[str, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return len(self.results) >= self.of

    @property
    def is_issued(self) -> bool:
        return len(self.issued) >= self.of


@dataclass
class CallBook:
    """What stands on the log of one call. `asked` and `decided` are by attempt: the question, and the verdict."""

    sequence: int
    run: str
    step: str
    key: str
    attempts: dict[int, Started] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)
    decided: dict[int, tuple[int, str]] = field(default_factory=dict)
    undone: set[int] = field(default_factory=set)
    retries: int = 0
    result: dict[str, Any] | None = None

    @property
    def carrier(self) -> int:
        """The sequence of the message that answers for the call now."""
        return max([self.sequence, *(sequence for sequence, _ in self.decided.values())])

    @property
    def waits(self) -> bool:
        """Whether a person is to say what became of the newest attempt."""
        newest = max(self.attempts, default=0)
        return newest in self.asked and newest not in self.decided

    def may_begin(self, attempt: int) -> bool:
        """Whether the attempt before is known to have had no effect."""
        before = attempt - 1
        return before == 0 or before in self.undone or self.decided.get(before, (0, ""))[1] == "retry"


@dataclass
class Book:
    """What stands on the log of one run. `parent` is the run and the step that wait for its answer."""

    run: str
    conversation: str = ""
    user: str = ""
    agent: str = ""
    question: str = ""
    task: int = 0
    parent: tuple[str, str] | None = None
    cancelled: bool = False
    refused: bool = False
    answer: dict[str, Any] | None = None
    turns: dict[int, Turn] = field(default_factory=dict)
    prompts: dict[str, list[Opened]] = field(default_factory=lambda: defaultdict(list))
    models: dict[str, int] = field(default_factory=dict)
    calls: dict[str, CallBook] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def complete(self) -> int:
        """The last turn of which all results are there."""
        return max((number for number, turn in self.turns.items() if turn.complete), default=0)

    @property
    def carrier(self) -> int:
        """The sequence of the message that answers for the run now."""
        complete = self.complete
        return max(self.turns[complete].results.values()) if complete else self.task

    def turn(self, said: dict[str, Any]) -> Turn:
        number, of = said.get("number", 1), said.get("of", 1)
        return self.turns.setdefault(number, Turn(of))
