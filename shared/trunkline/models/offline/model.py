"""The offline model: no weights, no network, the same reply to the same query every time."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from trunkline.contracts.dialog import (
    AssistantMessage,
    Message,
    ModelQuery,
    ModelReply,
    ToolCall,
    ToolMessage,
    Usage,
    UserMessage,
)
from trunkline.contracts.errors import ModelFailed
from trunkline.models.offline.answer import facts_in, report, unable, wanting
from trunkline.models.offline.catalog import Catalog, IndexedTool
from trunkline.models.offline.choose import Plan, choose, plan, rest_of

MODELS = ("offline:small", "offline:large")
_MOST_ROUNDS = 2
_WORDS = re.compile(r"\S+\s*|\s+")
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class _Turn:
    """What has happened since the user last spoke."""

    question: str
    calls: list[ToolCall]
    results: list[ToolMessage]
    rounds: int


class OfflineModel:
    """Picks tools by the words of the question, fills their arguments by their schemas, and reports the results.

    `offline:small` and `offline:large` are the same. What it says without a tool begins with `(offline model)`.
    Tokens are counted, for want of a vocabulary, as the greater of characters / 4, rounded up, and words; tool
    calls, results and declarations by their JSON. `delay` seconds pass before each streamed word.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self._delay = delay
        self._catalog = Catalog()

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        if query.model not in MODELS:
            raise ModelFailed(
                f"There is no model {query.model!r}.",
                f"The offline models are {' and '.join(MODELS)}.",
                retryable=False,
                status=404,
                retry_after=None,
            )
        tools = [self._catalog[spec] for spec in query.tools]
        text, calls = _respond(query, tools)
        text, cut = _limited(text, query.max_output_tokens)
        await self._stream(text, on_text)
        spoken = tokens(text) + sum(_tokens_of_call(call) for call in calls)
        return ModelReply(
            model=query.model,
            text=text,
            calls=calls,
            usage=Usage(input_tokens=_prompt_tokens(query, tools), output_tokens=spoken),
            finish="length" if cut else "tool_call" if calls else "stop",
        )

    async def close(self) -> None:
        """Nothing is open."""

    async def _stream(self, text: str, on_text: Callable[[str], None]) -> None:
        for word in _WORDS.findall(text):
            if self._delay:
                await asyncio.sleep(self._delay)
            on_text(word)


def tokens(text: str) -> int:
    """max(⌈characters / 4⌉, words)."""
    return max(-(-len(text) // 4), text.count(" ") + 1) if text else 0


def _respond(query: ModelQuery, tools: Sequence[IndexedTool]) -> tuple[str, tuple[ToolCall, ...]]:
    turn = _current_turn(query.messages)
    made = _next_calls(turn, tools)
    if made.calls:
        start = len(query.messages)
        return "", tuple(
            ToolCall(id=f"offline-{start}-{at}", tool=one.tool.name, arguments=one.arguments)
            for at, one in enumerate(made.calls)
        )
    if turn.results:
        return report(turn.results), ()
    if made.wanting is not None:
        return wanting(*made.wanting), ()
    return unable(turn.question, tuple(tool.name for tool in tools)), ()


def _next_calls(turn: _Turn, tools: Sequence[IndexedTool]) -> Plan:
    """At first all that the question asks for; after results once more, and only another tool for the rest of it."""
    if not turn.calls:
        return plan(turn.question, tools)
    called = {call.tool for call in turn.calls}
    others = [tool for tool in tools if tool.name not in called]
    if not others or turn.rounds >= _MOST_ROUNDS or any(result.failed for result in turn.results):
        return Plan()
    by_name = {tool.name: tool for tool in tools}
    rest = rest_of(turn.question, [(by_name[c.tool], c.arguments) for c in turn.calls if c.tool in by_name])
    facts = {name: value for call in turn.calls for name, value in call.arguments.items()} | facts_in(turn.results)
    choice = choose(rest, others, facts) if rest.stems else None
    return Plan([choice] if choice else [])


def _current_turn(messages: Sequence[Message]) -> _Turn:
    turn = _Turn("", [], [], 0)
    for message in reversed(messages):
        if isinstance(message, ToolMessage):
            turn.results.append(message)
        elif isinstance(message, AssistantMessage):
            turn.calls = [*message.calls, *turn.calls]
            turn.rounds += bool(message.calls)
        elif isinstance(message, UserMessage):
            turn.question = message.text.strip()
            break
    turn.results.reverse()
    return turn


def _limited(text: str, most: int) -> tuple[str, bool]:
    if not most or tokens(text) <= most:
        return text, False
    words = _WORDS.findall(text)
    while words and tokens("".join(words)) > most:
        words.pop()
    return "".join(words).rstrip(), True


def _prompt_tokens(query: ModelQuery, tools: Sequence[IndexedTool]) -> int:
    total = tokens(query.instructions) + sum([tool.tokens for tool in tools])
    for message in query.messages:
        if isinstance(message, UserMessage):
            total += tokens(message.text)
        elif isinstance(message, AssistantMessage):
            total += tokens(message.text) + sum([_tokens_of_call(call) for call in message.calls])
        else:
            total += -(-len(_encode(message.content)) // 4)
    return total


def _tokens_of_call(call: ToolCall) -> int:
    return -(-(len(call.tool) + len(_encode(call.arguments))) // 4)
