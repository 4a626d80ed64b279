"""Every subject of the platform is spelt here, and nowhere else.

The log: `trunk.<tenant>.<conversation>.<run>.<kind>.<name>.<step>`, seven tokens, always.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from trunkline.contracts.errors import BadSubject, InvalidName
from trunkline.contracts.ids import DEFAULT_TENANT, TOKEN, ConversationId, RunId, StepName, checked_token, tool_token

Kind = Literal[
    "request",
    "task",
    "prompt",
    "model",
    "call",
    "started",
    "approval",
    "decision",
    "result",
    "answer",
    "cancel",
    "note",
    "feedback",
]
KINDS: frozenset[str] = frozenset(get_args(Kind))
_SUBJECT = re.compile(r"trunk" + rf"\.({TOKEN.pattern})" * 6)

TRUNK = "TRUNK"
TRUNK_SUBJECTS = "trunk.>"
OPS = "OPS"
OPS_SUBJECTS = "ops.>"
DEAD_LETTERS = "ops.dead.*"
TIMERS = "TIMERS"
TIMERS_SUBJECTS = "timer.>"
BUDGET = "BUDGET"
BUDGET_SUBJECTS = "budget.>"
ROUTER = "router"
CLIENT = "client"
TIMER = "timer"
EVERYBODY = "all"
FIRST = StepName("0")
TRIED = "backtest"
"""Whom a request is for that no agent gets: a backtest shows it to a hosted model."""
CLASSIFY, CLASSIFIED = "classify", "classified"
"""Steps of the router's notes, and what they say: a model is about to be asked; what came of it, and what that cost."""
SUMMARY = StepName("summary")
"""The note that sums up what a conversation had been before."""
TOOLS_SAVED = StepName("saving-tools")
"""The note of the tools that a run's models were not told of, and of those that it used."""
IMPORTED_SUBJECTS = "import.>"
"""Under which a log takes what is imported, and nobody else publishes."""
PLACEHOLDER = "placeholder"
LIVE_ADDRESS = "live.{tenant}.{conversation}.{run}"
"""The subject of live text as AsyncAPI spells it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The name of one step on the log."""

    tenant: str
    conversation: ConversationId
    run: RunId
    kind: Kind
    name: str
    step: StepName

    def __str__(self) -> str:
        return f"trunk.{self.tenant}.{self.conversation}.{self.run}.{self.kind}.{self.name}.{self.step}"

    @property
    def any_name(self) -> str:
        """The fence for a step whose name is decided only once: the same step, whoever it is for."""
        return f"trunk.{self.tenant}.{self.conversation}.{self.run}.{self.kind}.*.{self.step}"

    @classmethod
    def parse(cls, subject: str) -> Subject:
        """Raises BadSubject."""
        matched = _SUBJECT.fullmatch(subject)
        if matched is None:
            raise BadSubject(
                f"{subject[:200]!r} is not trunk.<tenant>.<conversation>.<run>.<kind>.<name>.<step>.",
                "Each token has 1 to 64 of the characters A-Z a-z 0-9 _ and -.",
            )
        tenant, conversation, run, kind, name, step = matched.groups()
        if kind not in KINDS:
            raise BadSubject(f"{subject[:200]!r} has the unknown kind {kind!r}.", f"Known: {', '.join(sorted(KINDS))}.")
        return cls(tenant, ConversationId(conversation), RunId(run), kind, name, StepName(step))  # type: ignore[arg-type]  # checked against KINDS above


@dataclass(frozen=True, slots=True)
class RunKey:
    """Where a run lives on the log; builds the subjects of its steps."""

    tenant: str
    conversation: ConversationId
    run: RunId

    @classmethod
    def of(cls, subject: Subject) -> RunKey:
        return cls(subject.tenant, subject.conversation, subject.run)

    @classmethod
    def checked(cls, run: str, conversation: str, tenant: str = DEFAULT_TENANT) -> RunKey:
        """Raises InvalidName for anything that cannot be a token."""
        return cls(
            checked_token(tenant, "tenant"),
            ConversationId(checked_token(conversation, "conversation")),
            RunId(checked_token(run, "run")),
        )

    def step(self, kind: Kind, name: str, step: str = FIRST) -> Subject:
        if not TOKEN.fullmatch(step) or not TOKEN.fullmatch(name):
            raise InvalidName(f"{kind} {name[:80]!r} {step[:80]!r} cannot be a subject.")
        return Subject(self.tenant, self.conversation, self.run, kind, name, StepName(step))

    @property
    def everything(self) -> str:
        """All steps of the run."""
        return f"trunk.{self.tenant}.{self.conversation}.{self.run}.>"

    @property
    def tasks(self) -> str:
        return f"trunk.{self.tenant}.{self.conversation}.{self.run}.task.>"

    @property
    def cancel(self) -> Subject:
        """Where it stands that the run is to stop; said once."""
        return self.step("cancel", EVERYBODY)

    @property
    def history(self) -> tuple[str, str]:
        """What users asked in the conversation, and what they were answered."""
        prefix = f"trunk.{self.tenant}.{self.conversation}.*"
        return f"{prefix}.request.>", f"{prefix}.answer.{CLIENT}.>"

    @property
    def remarks(self) -> tuple[str, str]:
        """What agents noted in the conversation for the questions after theirs."""
        prefix = f"trunk.{self.tenant}.{self.conversation}.*.note.*"
        return f"{prefix}.{SUMMARY}", f"{prefix}.{TOOLS_SAVED}"

    @property
    def around(self) -> tuple[str, ...]:
        """What else a run's record needs: the conversation's questions, answers, delegated tasks, and remarks."""
        return (*self.history, f"trunk.{self.tenant}.{self.conversation}.*.task.>", *self.remarks)

    @property
    def live(self) -> str:
        """Core NATS subject of the run's text as it is written; not stored."""
        return f"live.{self.tenant}.{self.conversation}.{self.run}"


def requests() -> str:
    """What the router consumes."""
    return f"trunk.*.*.*.request.{ROUTER}.*"


def work_of_agent(agent: str) -> tuple[str, str]:
    """What wakes an agent's workers: a task carries the first turn, a result the next one."""
    name = checked_token(agent, "agent")
    return f"trunk.*.*.*.task.{name}.*", f"trunk.*.*.*.result.{name}.*"


def calls_of_tool(tool: str) -> str:
    return f"trunk.*.*.*.call.{tool_token(tool)}.*"


def work_of_tool(tool: str) -> tuple[str, str]:
    """What wakes a tool's executors: a call, or what a person decided about one."""
    return calls_of_tool(tool), f"trunk.*.*.*.decision.{tool_token(tool)}.*"


def run_anywhere(run: str) -> str:
    """All steps of a run whose conversation is not known."""
    return f"trunk.*.*.{checked_token(run, 'run')}.>"


def filter_of(
    *, tenant: str = "*", conversation: str = "*", run: str = "*", kind: str = "*", name: str = "*", step: str = "*"
) -> str:
    """A subscription on part of the log."""
    return f"trunk.{tenant}.{conversation}.{run}.{kind}.{name}.{step}"


def address(kind: Kind, name: str) -> str:
    """The subjects of a kind as AsyncAPI spells them: what varies stands in braces."""
    return f"trunk.{{tenant}}.{{conversation}}.{{run}}.{kind}.{name}.{{step}}"


def imported(subject: str) -> str:
    """Where to publish what is to stand under `subject` on a log that takes imports."""
    return f"import.{subject}"


def dead(service: str) -> str:
    """Where a service parks what it cannot handle."""
    return f"ops.dead.{checked_token(service, 'service')}"


def handover(agent: str, worker: str) -> str:
    """Core NATS request: a worker gives a delivered message to another one of the same agent."""
    return f"handover.{checked_token(agent, 'agent')}.{checked_token(worker, 'worker')}"


def health(service: str) -> str:
    """Core NATS request: the service says how it is. Stands outside `ops.>`, which is stored."""
    return f"health.{checked_token(service, 'service')}"


def query(service: str, what: str) -> str:
    """Core NATS request to a service's read side."""
    return f"query.{checked_token(service, 'service')}.{checked_token(what, 'query')}"


def budget_counter(tenant: str, kind: str, window: str, who: str) -> str:
    """Counts what is spent of a budget; `-` where it has no window. `who` is a token that stands for a name."""
    return f"budget.{tenant}.{kind}.{window}.{who}"


def timer_set(key: RunKey, name: str, step: str) -> str:
    return f"timer.set.{_timer(key, name, step)}"


def timer_due(key: RunKey, name: str, step: str) -> str:
    return f"timer.due.{_timer(key, name, step)}"


def all_due() -> str:
    return "timer.due.>"


def parse_due(subject: str) -> tuple[RunKey, str, StepName]:
    """The run, the agent that waits and its step. Raises BadSubject."""
    tokens = subject.split(".")
    if len(tokens) != 7 or tokens[:2] != ["timer", "due"] or not all(TOKEN.fullmatch(token) for token in tokens[2:]):
        raise BadSubject(f"{subject[:200]!r} is not timer.due.<tenant>.<conversation>.<run>.<name>.<step>.")
    _, _, tenant, conversation, run, name, step = tokens
    return RunKey(tenant, ConversationId(conversation), RunId(run)), name, StepName(step)


def _timer(key: RunKey, name: str, step: str) -> str:
    return f"{key.tenant}.{key.conversation}.{key.run}.{checked_token(name, 'name')}.{checked_token(step, 'step')}"
