"""The facts on the log: one class, one kind. What the subject says already is not said again in the body.

Every body is a JSON object. `kind` may be left out by a publisher, for the subject bears it. `id` is the random
event id by which a publisher knows its own message again after a lost acknowledgement.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from trunkline.contracts.dialog import Message, ToolCall, Usage
from trunkline.contracts.errors import TrunklineError
from trunkline.contracts.ids import RunId

SCHEMA_VERSION = 1


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A typed error as data. `code` is one of the error tree's, `hint` says what to do next."""

    code: str
    message: str
    hint: str = ""
    data: dict[str, Any] = {}

    @classmethod
    def of(cls, error: TrunklineError) -> "Failure":
        return cls(code=error.code, message=error.what, hint=error.hint, data=error.data)


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What all bodies share."""

    id: str = ""
    v: int = SCHEMA_VERSION
    traceparent: str = ""


class Request(Fact, frozen=True, kw_only=True, tag="request"):
    """A user asks. Sent by a client, once per run; `agent` skips the routing. `first`: the conversation begins here,
    so that nobody need look for what was said before. `order`: what to do while an earlier question of the
    conversation is not answered, unless the router's own setting shall decide. `deadline`, by the server's clock: when
    the run has to have ended; else the router sets one. `fresh`: no answer that was given before will do.
    """

    text: str
    user: str = ""
    agent: str = ""
    first: bool = False
    fresh: bool = False
    order: Literal["", "queue", "parallel", "replace"] = ""
    deadline: datetime | None = None
    metadata: dict[str, str] = {}


class Turn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which calls belong together: `of` were issued in turn `number`, and all must return before the next one.

    Stands in each call and is handed on to its result, so that a run's results alone say which turn is complete.
    """

    number: int = 1
    of: int = 1


class Parent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who delegated: the answer of the child run becomes the `result` of this step. `above`: the agents that wait for
    `agent` in turn, the first one first. `root`: the run that a user asked for, whose budget this one shares; empty:
    that is `run`.
    """

    run: RunId
    agent: str
    step: str
    above: tuple[str, ...] = ()
    root: str = ""
    turn: Turn = Turn()
    depth: int = 1
    input_hash: str = ""


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why this agent: `confidence` from 0 to 1, `source` the rule or classifier that decided. `difficulty`, from 0 to
    1, of a question whose agent leaves the tier of its models to the router. `asked`: a hosted model was asked before;
    what that cost stands in the router's notes.
    """

    confidence: float = 1.0
    source: str = "direct"
    asked: bool = False
    scores: dict[str, float] = {}
    difficulty: float | None = None


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of several questions that stood in one request, and who answers it. `tier` as in a task."""

    agent: str
    text: str
    tier: str = ""


class Task(Fact, frozen=True, kw_only=True, tag="task"):
    """Do this. Written by the router for a request, or by an agent that delegates (then with `parent`).

    `first` as in the request: the text is all there is to know. `tier`: which models the router thinks it needs, for an
    agent that leaves that open. `cache`: under which key the answer may be kept for others who ask the same; empty: not
    at all. `parts`: the questions that the router found in it, when it is more than one.
    """

    text: str = ""
    user: str = ""
    first: bool = False
    route: Route = Route()
    tier: str = ""
    cache: str = ""
    parts: tuple[Part, ...] = ()
    parent: Parent | None = None
    deadline: datetime | None = None


class Head(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stands before a model's messages: `model` as the agent's code named it, the instructions, tools' names."""

    model: str = ""
    instructions: str = ""
    tools: tuple[str, ...] = ()


class Prompt(Fact, frozen=True, kw_only=True, tag="prompt"):
    """A model call is about to be paid. `carrier` and `delivery`: the message that carries the turn, by stream
    sequence, and how often it had been delivered; only a later delivery of it may open the next attempt, or the one
    that opened this attempt and recorded its failure.

    What the model is told: all that it was told at step `base`; or, from the beginning, `head`, then `opening` and of
    the conversation's first `history` messages those behind the first `skipped`; then `said`.

    `reserved`: the most that it may cost, US dollars as an exact decimal, held back in each of the budgets `limits`
    under the name `hold`; empty when it is free, or when nothing limits it; 0 when it is certainly not made.
    """

    model: str
    input_hash: str
    attempt: int
    carrier: int
    delivery: int
    worker: str = ""
    version: str = ""
    reserved: str = ""
    limits: tuple[str, ...] = ()
    hold: str = ""
    head: Head | None = None
    base: str = ""
    opening: tuple[Message, ...] = ()
    skipped: int = 0
    history: int = 0
    said: tuple[Message, ...] = ()


class Model(Fact, frozen=True, kw_only=True, tag="model"):
    """A model call came back; it is never paid again. `model` is what served it, `latency_ms` total. `cost`: US dollars
    as an exact decimal, when the worker knew the price; `prices`: the version of the price table that it knew it from.
    `source`: `cache` when no model was asked, and `saved` what that would have cost.
    """

    model: str
    input_hash: str
    attempt: int = 1
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    cost: str = ""
    prices: str = ""
    source: str = ""
    saved: str = ""
    finish: str = ""
    latency_ms: float = 0.0
    first_text_ms: float | None = None
    error: Failure | None = None


class Call(Fact, frozen=True, kw_only=True, tag="call"):
    """Run this tool. Its step is the call's id, and the idempotency key of whatever it does. `version`: of the agent's
    code.
    """

    agent: str
    version: str = ""
    arguments: dict[str, Any] = {}
    input_hash: str = ""
    turn: Turn = Turn()
    deadline: datetime | None = None


class Started(Fact, frozen=True, kw_only=True, tag="started"):
    """A tool with effects is about to run. `delivery`: of the message that led to it. A second attempt needs the first
    one to be known not to have happened.
    """

    executor: str
    delivery: int
    attempt: int = 1
    isolation: str = ""


class Approval(Fact, frozen=True, kw_only=True, tag="approval"):
    """A person must decide: whether a call may run, or what became of one that is in doubt. `arguments_hash` is what
    the decision will be bound to.
    """

    arguments: dict[str, Any]
    arguments_hash: str
    reason: Literal["approve", "in_doubt"] = "approve"
    agent: str = ""
    provenance: dict[str, str] = {}
    expires: datetime | None = None


class Decision(Fact, frozen=True, kw_only=True, tag="decision"):
    """A person decided, for exactly these arguments: whether the call may run; or, of one in doubt, that it was done
    (with `value`), that it was not done, or that it shall be tried again.
    """

    verdict: Literal["approved", "denied", "done", "not_done", "retry"]
    by: str
    arguments_hash: str
    value: Any = None
    until: datetime | None = None
    signature: str = ""


class Resources(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a call used: CPU milliseconds, peak resident KiB, bytes of output."""

    cpu_ms: float = 0.0
    max_rss_kib: int = 0
    output_bytes: int = 0


class Result(Fact, frozen=True, kw_only=True, tag="result"):
    """A call, a delegated run or a timer came to its end. For a delegated run, `agent` did it and `tool` is empty;
    `cost` is what that run's answer says it cost, and `reusable` as there. `result_tokens`: how much of the value a
    model is told at most, where the tool says so.
    """

    tool: str = ""
    run: str = ""
    agent: str = ""
    turn: Turn = Turn()
    input_hash: str = ""
    value: Any = None
    error: Failure | None = None
    cost: str = ""
    reusable: bool = False
    result_tokens: int = 0
    duration_ms: float = 0.0
    resources: Resources = Resources()
    isolation: str = ""
    executor: str = ""


class Answer(Fact, frozen=True, kw_only=True, tag="answer"):
    """The end of a run, one per run: a text, or a failure that says what happened and what to do next.

    `cost`: US dollars as an exact decimal, of all its model calls, the router's too, and of the runs that it delegated
    to, as far as they are known. `reusable`: the same question would get the same answer, since nothing but models went
    into it.
    `source`: `cache` when it is another run's answer.
    """

    agent: str = ""
    text: str = ""
    error: Failure | None = None
    cost: str = ""
    reusable: bool = False
    source: str = ""
    parent: Parent | None = None


class Cancel(Fact, frozen=True, kw_only=True, tag="cancel"):
    """Stop this run. `code` is the one of the answer in which it ends: `cancelled`, `deadline_passed`, `queue_timeout`,
    `replaced`.
    """

    by: str = ""
    reason: str = ""
    code: str = "cancelled"


class Note(Fact, frozen=True, kw_only=True, tag="note"):
    """Something worth knowing that changes nothing: takeover, refusal, retry, saving."""

    what: str
    data: dict[str, Any] = {}


class Feedback(Fact, frozen=True, kw_only=True, tag="feedback"):
    """The user's verdict on an answer: -1, 0 or 1. `agent`: who should have answered, where it was the wrong one."""

    verdict: int
    agent: str = ""
    comment: str = ""
    by: str = ""


class Delta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="delta"):
    """A piece of text as it is written, on the live subject, not stored. A new `step` or `attempt` starts it anew."""

    agent: str
    step: str
    attempt: int
    text: str


AnyFact = (
    Request | Task | Prompt | Model | Call | Started | Approval | Decision | Result | Answer | Cancel | Note | Feedback
)
