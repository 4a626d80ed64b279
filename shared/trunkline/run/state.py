"""What the log says of a run, and who may go on with it. Pure: no I/O, no clock.

Law 4. The task carries the first turn; the last result of a turn (highest sequence) carries the next. So each
unfinished run has one message that answers for it, and whoever holds that message may work.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeVar

from trunkline.contracts.codec import Event
from trunkline.contracts.dialog import AssistantMessage, Message, UserMessage
from trunkline.contracts.errors import Superseded
from trunkline.contracts.ids import RunId
from trunkline.contracts.messages import Answer, Call, Cancel, Model, Note, Prompt, Request, Result, Task
from trunkline.contracts.subjects import CLIENT, SUMMARY, TOOLS_SAVED, RunKey

F = TypeVar("F")


class Exchange(NamedTuple):
    """A question that was answered, and the run in which it was."""

    question: str
    answer: str
    run: str


class Summary(NamedTuple):
    """What was said in the conversation's first `reaches` exchanges, in short."""

    text: str
    reaches: int


@dataclass
class RunState:
    """The fold of a run's messages; `exchanges` are the questions of the conversation that were answered before the
    task was written, with their answers; `summaries` of the first of them had been made by then, the one that reaches
    farthest last, and `used_tools` used for the newest of them that had too many; `version` is that of the code which
    asked last.
    """

    key: RunKey
    request: Request | None = None
    task: Task | None = None
    agent: str = ""
    task_sequence: int = 0
    version: str = ""
    answer: Answer | None = None
    cancel: Cancel | None = None
    prompts: dict[str, list[Prompt]] = field(default_factory=lambda: defaultdict(list))
    models: dict[str, Model] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    results: dict[str, tuple[int, Result]] = field(default_factory=dict)
    notes: dict[tuple[str, str], Note] = field(default_factory=dict)
    exchanges: list[Exchange] = field(default_factory=list)
    summaries: list[Summary] = field(default_factory=list)
    used_tools: tuple[str, ...] = ()

    @property
    def question(self) -> str:
        """What is asked of the agent: the delegating agent's words, or the user's."""
        if self.task and self.task.text:
            return self.task.text
        return self.request.text if self.request else ""

    @property
    def root(self) -> RunId:
        """The run that a user asked for, whose budget is spent here."""
        parent = self.task.parent if self.task else None
        return RunId(parent.root or parent.run) if parent else self.key.run

    @property
    def deadline(self) -> datetime | None:
        """When the run ends, whatever it waits for then."""
        return self.task.deadline if self.task else None

    def kind_at(self, step: str) -> str:
        """What is recorded at `step`: `model`, `call`, `ask`; or nothing that says what it is."""
        if step in self.models or step in self.prompts:
            return "model"
        if step in self.calls:
            return "call"
        result = self.results[step][1] if step in self.results else Result()
        return "call" if result.tool else "ask" if result.run else ""

    @property
    def user(self) -> str:
        if self.task and self.task.user:
            return self.task.user
        return self.request.user if self.request else ""


def state_of(key: RunKey, events: Sequence[Event]) -> RunState:
    """Fold a run's events, and those of its conversation's questions and answers. Other events are ignored."""
    state = RunState(key)
    for event in events:
        if event.subject.run == key.run:
            _take(state, event)
    before = [event for event in events if event.sequence < state.task_sequence]
    state.exchanges = _exchanges(before)
    state.summaries = _summaries(before, state.exchanges)
    state.used_tools = _used_tools(before)
    return state


def told_before(state: RunState) -> tuple[Message, ...]:
    """The conversation before the question; an agent that was delegated to does not know it."""
    if state.task and state.task.parent:
        return ()
    return tuple(message for exchange in state.exchanges for message in messages_of(exchange))


def messages_of(exchange: Exchange) -> tuple[Message, ...]:
    return UserMessage(exchange.question), AssistantMessage(exchange.answer)


def turn_number(state: RunState) -> int:
    """The turn that is to be worked on: the one behind the last whose results are all there."""
    return _complete_turns(state)[-1] + 1


def carrier(state: RunState) -> int:
    """The sequence of the message that answers for the run now."""
    complete = _complete_turns(state)[-1]
    if complete == 0:
        return state.task_sequence
    return max(sequence for sequence, result in state.results.values() if result.turn.number == complete)


def next_attempt(prompts: Sequence[Prompt], sequence: int, delivery: int) -> int:
    """The number of the attempt that this delivery of the carrier may open at a model step.

    Raises Superseded when a delivery at least as late has opened one: two live workers never pay for one turn.
    """
    if not prompts:
        return 1
    newest = max(prompts, key=lambda prompt: prompt.attempt)
    if newest.carrier == sequence and newest.delivery < delivery:
        return newest.attempt + 1
    raise Superseded(f"delivery {newest.delivery} of message {newest.carrier} has opened attempt {newest.attempt}")


def _take(state: RunState, event: Event) -> None:
    fact, step = event.fact, event.subject.step
    match fact:
        case Request():
            state.request = fact
        case Task():
            state.task, state.agent, state.task_sequence = fact, event.subject.name, event.sequence
        case Prompt():
            state.prompts[step.rpartition("-")[0]].append(fact)
            state.version = fact.version
        case Model():
            state.models[step] = fact
        case Call():
            state.calls[step] = fact
            state.version = fact.version
        case Result():
            state.results[step] = (event.sequence, fact)
        case Answer():
            state.answer = fact
        case Cancel():
            state.cancel = fact
        case Note():
            state.notes[event.subject.name, step] = fact


def _complete_turns(state: RunState) -> list[int]:
    """0, and every turn whose results are all recorded."""
    results: dict[int, list[Result]] = defaultdict(list)
    for _, result in state.results.values():
        results[result.turn.number].append(result)
    return [0, *sorted(number for number, found in results.items() if len(found) >= found[0].turn.of)]


def _exchanges(events: Iterable[Event]) -> list[Exchange]:
    """Questions that were answered, in the order of their answers."""
    questions: dict[str, str] = {}
    pairs = []
    for event in events:
        if isinstance(event.fact, Request):
            questions[event.subject.run] = event.fact.text
        elif isinstance(event.fact, Answer) and event.subject.name == CLIENT and event.fact.error is None:
            question = questions.get(event.subject.run)
            if question is not None:
                pairs.append(Exchange(question, event.fact.text, event.subject.run))
    return pairs


def _summaries(events: Iterable[Event], exchanges: Sequence[Exchange]) -> list[Summary]:
    """By how far they reach; of those that reach as far, the newest."""
    places = {exchange.run: place for place, exchange in enumerate(exchanges, 1)}
    found = {}
    for event in events:
        if isinstance(event.fact, Note) and event.subject.step == SUMMARY:
            text, run = event.fact.data.get("text"), event.fact.data.get("reaches")
            if isinstance(text, str) and isinstance(run, str) and run in places:
                found[places[run]] = text
    return [Summary(text, reaches) for reaches, text in sorted(found.items())]


def _used_tools(events: Iterable[Event]) -> tuple[str, ...]:
    used: object = ()
    for event in events:
        if isinstance(event.fact, Note) and event.subject.step == TOOLS_SAVED:
            used = event.fact.data.get("used")
    return tuple(name for name in used if isinstance(name, str)) if isinstance(used, list | tuple) else ()
