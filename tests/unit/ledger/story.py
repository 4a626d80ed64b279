"""Logs to read from: the messages that runs leave behind, as the bus would hand them on."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from msgspec.structs import replace

from trunkline.contracts.codec import Event, decode_fact, encode
from trunkline.contracts.dialog import ToolCall, Usage
from trunkline.contracts.ids import RunId, StepName, child_run_id
from trunkline.contracts.messages import (
    Answer,
    Call,
    Fact,
    Failure,
    Feedback,
    Model,
    Parent,
    Prompt,
    Request,
    Resources,
    Result,
    Route,
    Started,
    Task,
    Turn,
)
from trunkline.contracts.subjects import Subject
from trunkline.prices import PriceBook
from trunkline_ledger.project import RunRows, project
from trunkline_ledger.stream import Stream

START = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
RUN = "0197297e-1000-7000-8000-000000000001"
GPT = "openai:gpt-4o"
FREE = "offline:echo"
MODEL_USAGE = Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=400)
MODEL_COST = "0.003"  # (600 × 2.50 + 400 × 1.25 + 100 × 10.00) / 1,000,000


@dataclass(frozen=True)
class Message:
    subject: str
    sequence: int
    at: datetime
    data: bytes


@dataclass
class Story:
    """A log that is being written: every message comes `step_ms` after the one before."""

    step_ms: float = 10.0
    messages: list[Message] = field(default_factory=list)

    @property
    def stream(self) -> Stream:
        return Stream("TRUNK", START, len(self.messages))

    def tell(self, where: str, fact: Fact | bytes, *, run: str = RUN, conversation: str = "c-1") -> Message:
        """`where` is `kind.name.step`."""
        return self.tell_at(f"trunk.main.{conversation}.{run}.{where}", fact)

    def tell_at(self, subject: str, fact: Fact | bytes) -> Message:
        sequence = len(self.messages) + 1
        at = START + timedelta(milliseconds=self.step_ms * sequence)
        message = Message(subject, sequence, at, fact if isinstance(fact, bytes) else encode(fact))
        self.messages.append(message)
        return message


def event(message: Message) -> Event:
    subject = Subject.parse(message.subject)
    return Event(subject, message.sequence, message.at, decode_fact(subject.kind, message.data), message.data)


def rows_of(story: Story, run: str = RUN, prices: PriceBook | None = None) -> RunRows:
    """What the projection makes of one run of the story."""
    rows = RunRows()
    for message in story.messages:
        if f".{run}." in message.subject:
            for row in project(rows, event(message), prices or PriceBook()):
                rows.put(row)
    return rows


def prompt(attempt: int = 1, *, model: str = GPT, reserved: str = "") -> Prompt:
    return Prompt(
        model=model, input_hash="h", attempt=attempt, carrier=2, delivery=attempt, worker="w-1", reserved=reserved
    )


def model(attempt: int = 1, *, name: str = GPT, usage: Usage = MODEL_USAGE, error: str = "") -> Model:
    return Model(
        model=name,
        input_hash="h",
        attempt=attempt,
        text="" if error else "It is 4.",
        calls=(ToolCall(id="t1", tool="math.add", arguments={"a": 2, "b": 2}),),
        usage=usage,
        latency_ms=9.5,
        first_text_ms=3.25,
        error=Failure(code=error, message="It failed.") if error else None,
    )


def begin(story: Story, run: str = RUN, *, agent: str = "math", question: str = "What is 2 + 2?") -> None:
    story.tell("request.router.0", Request(text=question, user="ada"), run=run)
    story.tell(f"task.{agent}.0", Task(route=Route(confidence=0.75, source="examples")), run=run)


def one_tool_run(story: Story, run: str = RUN, *, name: str = GPT) -> None:
    """Ten messages: two model calls, one tool with an effect."""
    begin(story, run)
    story.tell("prompt.math.1-1", prompt(model=name), run=run)
    story.tell("model.math.1", model(name=name), run=run)
    story.tell("call.math__add.2", Call(agent="math", arguments={"a": 2, "b": 2}), run=run)
    story.tell("started.math__add.2-1", Started(executor="x-1", delivery=1, isolation="strict"), run=run)
    story.tell("result.math.2", tool_result(), run=run)
    story.tell("prompt.math.3-1", prompt(model=name), run=run)
    story.tell("model.math.3", model(name=name), run=run)
    story.tell("answer.client.0", Answer(agent="math", text="4"), run=run)


def tool_result(error: str = "") -> Result:
    return Result(
        tool="math.add",
        value=None if error else 4,
        duration_ms=6.5,
        resources=Resources(cpu_ms=1.5, max_rss_kib=2048, output_bytes=1),
        isolation="zygote",
        executor="x-1",
        error=Failure(code=error, message="It failed.") if error else None,
    )


def delegated_run(story: Story, run: str = RUN) -> str:
    """The lead asks `math`, which uses a model of its own. Returns the child run's id."""
    child = child_run_id(RunId(run), StepName("2"))
    parent = Parent(run=RunId(run), agent="lead", step="2", turn=Turn(number=1, of=1))
    begin(story, run, agent="lead")
    story.tell("prompt.lead.1-1", prompt(), run=run)
    story.tell("model.lead.1", model(), run=run)
    story.tell(
        "task.math.0", Task(text="2 + 2?", user="ada", route=Route(source="delegated"), parent=parent), run=child
    )
    story.tell("prompt.math.1-1", prompt(), run=child)
    story.tell("model.math.1", model(), run=child)
    story.tell("answer.client.0", Answer(agent="math", text="4", parent=parent), run=child)
    story.tell("result.lead.2", Result(run=child, value="4"), run=run)
    story.tell("answer.client.0", Answer(agent="lead", text="4"), run=run)
    return child


def everything() -> Story:
    """Some of all that happens, and of what should not."""
    story = Story()
    one_tool_run(story, "run-a")
    delegated_run(story, "run-b")
    begin(story, "run-c")
    story.tell("prompt.math.1-1", prompt(reserved="0.02"), run="run-c")
    story.tell("prompt.math.1-2", prompt(2, reserved="0.02"), run="run-c")
    story.tell("request.router.0", b"\xff\xfe not json", run="run-d")
    story.tell_at("trunk.main.c-1.run-e.dream.math.1", b"{}")
    story.tell_at("elsewhere.\0.x", b'{"a": 1}')
    story.tell("model.math.1", replace(model(2), cost=MODEL_COST), run="run-c")
    story.tell("answer.client.0", Answer(error=Failure(code="model_failed", message="No.")), run="run-c")
    story.tell("model.math.1", model(name="nobody:unheard-of"), run="run-f")
    story.tell("answer.client.0", Answer(text="stolen"), run="run-a", conversation="c-2")
    story.tell("feedback.ledger.0", Feedback(verdict=1), run="run-a")
    one_tool_run(story, "run-g", name=FREE)
    return story


def batches(messages: list[Message], cuts: list[int]) -> list[list[Message]]:
    edges = sorted({0, len(messages), *(cut for cut in cuts if cut < len(messages))})
    return [messages[first:last] for first, last in pairwise(edges)]
