"""Stands in for a hosted model behind its real name: a stated quality, replies of a drawn length, the provider's prompt
cache; and it keeps a book of what it was asked.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

import msgspec
import orjson

from bench.cost_assumed import NOTICED, ROUTED, Models
from bench.cost_bank import PERSONAL, desk_of, matter
from bench.cost_stream import Stream, chance
from trunkline.agent import Check
from trunkline.contracts.dialog import ModelQuery, ModelReply, ToolCall, ToolMessage, Usage, UserMessage
from trunkline.run.tiers import JUDGE
from trunkline_router.deciding.hosted import NONE, TELLS

CHARACTERS = 4
"""A token."""
MEDIAN_TOKENS, SIGMA, FEWEST, MOST = 120, 0.5, 20, 600
"""Of a reply: log-normal, clipped."""
CALL_TOKENS = 20
DOUBTED = 0.02
"""Of the right answers, by a check."""
CACHED_FROM, CACHED_STEP, CACHED_SECONDS = 1024, 128, 300.0
"""A provider keeps a prompt's beginning from so many tokens on, in such steps, for so long after its last use."""
FIRST_SECONDS: Mapping[str, float] = {"small": 0.4, "large": 1.2}
TOKENS_A_SECOND: Mapping[str, float] = {"small": 150.0, "large": 60.0}
WHO = TELLS.partition("{")[0]
"""How the router's question to a model begins."""
FILLER = "You find this in the app under Help, and a person answers there if it does not solve the matter at once. "


@dataclass(frozen=True)
class Quality:
    """The share of right answers, by tier and hardness of the question; of the router's questions, `routes` right; of
    the wrong answers that it is to judge, `notices`.
    """

    large: float = 0.97
    small_easy: float = 0.97
    small_hard: float = 0.70
    routes: float = ROUTED
    notices: float = NOTICED

    def of(self, tier: str, *, hard: bool) -> float:
        if tier == "large":
            return self.large
        return self.small_hard if hard else self.small_easy


@dataclass(frozen=True, slots=True)
class Paid:
    """One call as the provider has it in its books."""

    model: str
    usage: Usage


@dataclass
class StandIn:
    """A ModelClient, as a service opens one. `at`: when a question was last asked, by its text, in seconds of the
    stream's time.
    """

    stream: Stream
    models: Models
    quality: Quality = field(default_factory=Quality)
    at: dict[str, float] = field(default_factory=dict)
    paid: list[Paid] = field(default_factory=list)
    _prompts: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    _newest: float = 0.0

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        question = question_in(query)
        reply = self._reply(query, question)
        tokens = CALL_TOKENS if reply.calls else max(1, _tokens(reply.text))
        usage = msgspec.structs.replace(self._read(query, question), output_tokens=tokens)
        self.paid.append(Paid(query.model, usage))
        on_text(reply.text)
        return msgspec.structs.replace(reply, usage=usage)

    def resolve(self, name: str) -> tuple[str, ...]:
        return self.models.resolve(name)

    async def prepare(self, names: Iterable[str]) -> None:
        """There is nothing to import."""

    async def close(self) -> None:
        """There is nothing to close."""

    def _reply(self, query: ModelQuery, question: str) -> ModelReply:
        if query.instructions == JUDGE:
            passes = is_passed(self.stream, self.quality.notices, question, orjson.loads(_last(query))["answer"])
            return ModelReply(model=query.model, text="yes" if passes else "no", finish="stop")
        if query.instructions.startswith(WHO):
            return ModelReply(model=query.model, text=self._desk(query.instructions, question), finish="stop")
        intent = self.stream.intent_of.get(question, "")
        told = bool(query.messages) and isinstance(query.messages[-1], ToolMessage)
        if intent in PERSONAL and not told and any(tool.name == "movements" for tool in query.tools):
            call = ToolCall(id="look", tool="movements", arguments={"days": 30})
            return ModelReply(model=query.model, calls=(call,), finish="tool_calls")
        return ModelReply(model=query.model, text=self._text(query, question, intent), finish="stop")

    def _desk(self, instructions: str, question: str) -> str:
        """Of those that the router names: the right one, or one of the others."""
        named = [line[2:].partition(":")[0] for line in instructions.splitlines() if line.startswith("- ")]
        right = desk_of(self.stream.intent_of[question])
        if right in named and chance(self.stream.seed, "desk", question) < self.quality.routes:
            return right
        others = [desk for desk in named if desk != right] or [NONE]
        return others[int(chance(self.stream.seed, "another desk", question) * len(others))]

    def _text(self, query: ModelQuery, question: str, intent: str) -> str:
        tier = self.models.tiers[query.model]
        right = self.quality.of(tier, hard=self.stream.is_hard(question))
        knows = f"\n{matter(intent)}: " in query.instructions
        lucky = chance(self.stream.seed, tier, question) < right
        label = intent if knows and lucky else _another(intent, self.stream, question)
        length = random.Random(f"{self.stream.seed} length {question}").lognormvariate(0, SIGMA) * MEDIAN_TOKENS
        characters = CHARACTERS * round(min(MOST, max(FEWEST, length)))
        return (f"[{label}] " + FILLER * (1 + characters // len(FILLER)))[:characters]

    def _read(self, query: ModelQuery, question: str) -> Usage:
        """What the prompt is, and how much of it the provider still has. Some questions are under way at once, so their
        order is not quite that of the stream.
        """
        prompt, now = prompt_text(query), self.at.get(question, self._newest)
        self._newest = max(self._newest, now)
        seen = self._prompts.setdefault(query.model, [])
        first = bisect.bisect_left(seen, now - CACHED_SECONDS, key=itemgetter(0))
        last = bisect.bisect_right(seen, now + CACHED_SECONDS, key=itemgetter(0))
        common = max((_in_common(prompt, other) for _, other in seen[first:last]), default=0) // CHARACTERS
        cached = common // CACHED_STEP * CACHED_STEP if common >= CACHED_FROM else 0
        bisect.insort(seen, (now, prompt), key=itemgetter(0))
        total = _tokens(prompt)
        return Usage(input_tokens=total, cache_read_tokens=min(cached, total))


def checking(stream: Stream, notices: float) -> Check:
    """A team's own check, which costs nothing: it notices this share of the wrong answers, and doubts a few others."""

    def check(question: str, answer: str) -> bool:
        return is_passed(stream, notices, question, answer)

    return check


def is_passed(stream: Stream, notices: float, question: str, answer: str) -> bool:
    """What a check says, a function's or a model's."""
    wrong = label_of(answer) != stream.intent_of.get(question)
    return chance(stream.seed, "check", question) >= (notices if wrong else DOUBTED)


def question_in(query: ModelQuery) -> str:
    """What the customer asked, whoever asks the model: an agent, its check, or the router."""
    last = _last(query)
    if query.instructions == JUDGE:
        return str(orjson.loads(last)["question"])
    return last.partition("\n")[2].rpartition("\n")[0] if query.instructions.startswith(WHO) else last


def _last(query: ModelQuery) -> str:
    return next((each.text for each in reversed(query.messages) if isinstance(each, UserMessage)), "")


def seconds_of(tier: str, usage: Usage) -> float:
    """How long a real model takes; the stand-in answers at once."""
    return FIRST_SECONDS[tier] + usage.output_tokens / TOKENS_A_SECOND[tier]


def label_of(text: str) -> str:
    """The matter that an answer is about."""
    return text[1:].partition("]")[0] if text.startswith("[") else ""


def prompt_text(query: ModelQuery) -> str:
    """What a provider reads, in its order: instructions and tools first."""
    tools = orjson.dumps([msgspec.to_builtins(tool) for tool in query.tools]).decode() if query.tools else ""
    said: Sequence[object] = msgspec.to_builtins(list(query.messages))
    return query.instructions + tools + "".join(orjson.dumps(message).decode() for message in said)


def _in_common(one: str, other: str) -> int:
    """Characters at the beginning, in steps that a provider would not see."""
    step, length = 64, min(len(one), len(other))
    return next((at for at in range(0, length, step) if one[at : at + step] != other[at : at + step]), length)


def _tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS)


def _another(intent: str, stream: Stream, question: str) -> str:
    others = sorted(set(stream.intent_of.values()) - {intent}) or ["nothing"]
    return others[int(chance(stream.seed, "wrong", question) * len(others))]
