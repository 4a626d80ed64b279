"""What the built-in loop leaves out of its prompts, and what that saved: one note per run for each way of doing so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from trunkline.agent import SMALL, Agent
from trunkline.contracts.dialog import Message, ModelQuery, ToolMessage, ToolSpec, Usage
from trunkline.contracts.errors import CallerMistake, ModelFailed, UnknownPrice
from trunkline.contracts.messages import Model, Note
from trunkline.contracts.savings import Lever, saving, saving_step
from trunkline.contracts.subjects import SUMMARY
from trunkline.prices import Money, PriceBook
from trunkline.prices.estimate import estimated_json_tokens
from trunkline.run.engine import Engine, Found
from trunkline.run.fitting import fitting
from trunkline.run.model_cache import CACHE
from trunkline.run.state import Summary, told_before
from trunkline.run.trimming import trimmed
from trunkline.run.window import (
    MOST_OUTPUT_TOKENS,
    Due,
    Window,
    instructions_to_sum_up,
    messages_in,
    to_sum_up,
    tokens_left_out,
    window_of,
    without_summary,
)

if TYPE_CHECKING:
    from trunkline.run.run import Run

log = structlog.get_logger("trunkline.run")

TOOLS = "tools"
"""The note of the tools that were chosen for a run."""
LAST_EXCHANGE_WEIGHT = 0.5
"""What a word of the conversation's last exchange counts for a tool, against one of the question."""


@dataclass
class LeftOut:
    """Tokens: `now` of each prompt, as it is at the moment; `of` those of the model steps so far."""

    now: dict[Lever, int] = field(default_factory=dict)
    of: dict[str, dict[Lever, int]] = field(default_factory=dict)

    def add(self, lever: Lever, tokens: int) -> None:
        self.now[lever] = self.now.get(lever, 0) + tokens

    def at(self, step: str) -> None:
        """The prompt of this model step is as it is now."""
        self.of[step] = dict(self.now)

    def tokens(self, lever: Lever, steps: Collection[str]) -> int:
        """Of the prompts of these steps."""
        return sum(left.get(lever, 0) for step, left in self.of.items() if step in steps)


class Shortening:
    """Of one run's prompts."""

    def __init__(
        self, run: Run, engine: Engine, specs: Callable[[Sequence[str]], Awaitable[Sequence[ToolSpec]]]
    ) -> None:
        self._run = run
        self._engine = engine
        self._specs = specs
        self._recent: tuple[Message, ...] | None = None
        self._chosen = False
        self._used: dict[str, None] = dict.fromkeys(engine.state.used_tools)
        self._summary = ""
        self.left_out = LeftOut()

    @property
    def _agent(self) -> Agent:
        return self._run.agent

    async def conversation(self) -> tuple[Message, ...]:
        """What was said before the question, as far as the agent's `history_tokens` admit."""
        state, most = self._engine.state, self._agent.history_tokens
        if self._recent is None and not told_before(state):
            self._recent = ()
        elif self._recent is None:
            found = window_of(state.exchanges, state.summaries, most)
            window = await self._summed_up(found) if isinstance(found, Due) else found
            self._recent = messages_in(window, state.exchanges, most)
            self.left_out.add("history", max(0, tokens_left_out(state.exchanges, self._recent)))
        return self._recent

    async def tools(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those of `names` that a model is told of: all, or as many as fit best. Decided once in a run."""
        most = self._agent.most_tools
        if len(names) <= most:
            return tuple(names)
        engine = self._engine
        chosen = await engine.inline(engine.once(self._agent.name, TOOLS, TOOLS, lambda: self._choose(names)))
        told = chosen.get("told")
        if chosen.get("most") != most or not isinstance(told, list) or not set(told) <= set(names):
            return tuple(names[:most])  # decided by other code: what follows is told to the model, and so compared
        self._chosen = True
        self.left_out.add("tools", chosen["tokens"] if isinstance(chosen.get("tokens"), int) else 0)
        return tuple(told)

    def result(self, message: ToolMessage, most: int) -> ToolMessage:
        """As a model is told it: at most `most` tokens, or as many as the agent admits when that is 0."""
        self._used.pop(message.tool, None)
        self._used[message.tool] = None
        content = trimmed(message.content, most or self._agent.result_tokens)
        if content is message.content:
            return message
        self.left_out.add("results", estimated_json_tokens(message.content) - estimated_json_tokens(content))
        return ToolMessage(call_id=message.call_id, tool=message.tool, content=content, failed=message.failed)

    async def note_savings(self, prices: PriceBook, asked: Mapping[str, ModelQuery]) -> None:
        """Once the run has its answer. `asked`: what this worker asked, by step."""
        engine, name = self._engine, self._agent.name
        paid = {step: fact for step, fact in engine.state.models.items() if _is_paid(fact)}
        await prices.prepare(*(paid[step].model for step in self.left_out.of if step in paid))
        more: dict[Lever, dict[str, Any]] = {"tools": {"used": self._lately_used}} if self._chosen else {}
        notes: dict[Lever, Note] = {}
        for lever in self.left_out.now:
            if (tokens := self.left_out.tokens(lever, paid)) or lever in more:
                told = self._money(lever, paid, prices, asked) | more.get(lever, {})
                notes[lever] = saving(lever, tokens=tokens, **told)
        await asyncio.gather(
            *(engine.note(name, saving_step(lever), note.what, **note.data) for lever, note in notes.items())
        )

    def _money(
        self, lever: Lever, paid: Mapping[str, Model], prices: PriceBook, asked: Mapping[str, ModelQuery]
    ) -> dict[str, Any]:
        """What the tokens would have cost in the calls that they were left out of, less the summary in their place;
        nothing where a price is not known.
        """
        summary = paid.get(self._summary) if lever == "history" else None
        try:
            pico = -Money.parse(summary.cost).pico if summary else 0
            for step, left in self.left_out.of.items():
                if (tokens := left.get(lever, 0)) and (fact := paid.get(step)):
                    named = asked[step].model if step in asked else self._asked_before(step)
                    pico += prices.spared(fact.model, fact.usage, tokens, asked=named).pico
        except (UnknownPrice, ValueError):
            return {}
        extra = {"extra": str(Money(-pico))} if pico < 0 else {}
        return {"cost": str(Money(max(0, pico))), "prices": prices.version, **extra}

    def _asked_before(self, step: str) -> str:
        """The model that another worker asked last."""
        prompts = self._engine.state.prompts.get(step, ())
        return max(prompts, key=lambda prompt: prompt.attempt).model if prompts else ""

    @property
    def _lately_used(self) -> list[str]:
        """Of the conversation, the last one last; never more than half of what is told, for there are new questions."""
        return list(self._used)[max(0, len(self._used) - self._agent.most_tools // 2) :]

    async def _choose(self, names: Sequence[str]) -> Found:
        tools = await self._specs(names)
        exchanges = self._engine.state.exchanges
        texts = [(self._run.text, 1.0)]
        texts += [(text, LAST_EXCHANGE_WEIGHT) for each in exchanges[-1:] for text in (each.question, each.answer)]
        told = fitting(tools, texts, self._agent.most_tools, used=self._lately_used)
        tokens = sum(estimated_json_tokens(tool) for tool in tools if tool.name not in told)
        return {"told": list(told), "most": self._agent.most_tools, "tokens": tokens}

    async def _summed_up(self, due: Due) -> Window:
        """A failing summary is done without."""
        exchanges, most = self._engine.state.exchanges, self._agent.history_tokens
        step = self._run.model(
            to_sum_up(due, exchanges),
            model=SMALL,
            instructions=instructions_to_sum_up(most),
            max_output_tokens=MOST_OUTPUT_TOKENS,
            aside=True,
        )
        self._summary = step.name
        try:
            text = (await step).text.strip()
        except (ModelFailed, CallerMistake) as failure:
            log.warning("a conversation is not summed up", action="no_summary", run=self._run.id, reason=str(failure))
            return without_summary(due)
        if not text:
            return without_summary(due)
        engine, reaches = self._engine, exchanges[due.reaches - 1].run
        await engine.inline(engine.note(self._agent.name, SUMMARY, SUMMARY, text=text, reaches=reaches))
        return Window(due.reaches, Summary(text, due.reaches))


def _is_paid(fact: Model) -> bool:
    """Whether a prompt was really sent, as far as anybody knows."""
    return fact.source != CACHE and (fact.error is None or fact.usage != Usage())
