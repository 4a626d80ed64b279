"""The built-in loop: think, use tools, think again, answer. And what answers when the models fail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from trunkline.agent import Agent, Flow, Say
from trunkline.contracts.dialog import AssistantMessage, Message, ToolCall, ToolMessage, ToolSpec
from trunkline.contracts.errors import ModelFailed, RunFailed

if TYPE_CHECKING:
    from trunkline.contracts.messages import Result
    from trunkline.run.run import Run, Step

FALLBACK = "fallback_answer"
"""The note of a run whose answer is not its agent's own."""
ASK = "ask."
"""How a model sees an agent that it may ask: as a tool named `ask.<agent>`."""


def flow_of(agent: Agent) -> Flow:
    """The agent's own code or the built-in loop; and behind it, for when the models fail, the agent's fallback."""
    flow, fallback = agent.own_flow or tool_loop, agent.fallback
    if fallback is None:
        return flow

    async def answering(run: Run) -> str:
        try:
            return await flow(run)
        except ModelFailed as failure:
            return await _fall_back(run, fallback, failure)

    return answering


async def _fall_back(run: Run, fallback: str | Say, failure: ModelFailed) -> str:
    """A note says that the answer is one. An agent that waits for this run already is not asked."""
    if isinstance(fallback, Say):
        await run.note(FALLBACK, by="text", why=failure.what)
        return fallback.text
    kind, data = type(failure), failure.data
    if fallback in run.asked_by:
        raise kind(
            f"{failure.what} The fallback of {run.agent.name} is {fallback}, which waits for this very answer.",
            failure.hint,
            **data,
        ) from failure
    await run.note(FALLBACK, by=fallback, why=failure.what)
    try:
        return await run.ask(fallback, run.text)
    except RunFailed as error:
        raise kind(f"{failure.what} Its fallback {fallback} failed too: {error.what}", error.hint, **data) from failure


async def tool_loop(run: Run) -> str:
    """The answer. Raises RunFailed after `max_turns` without one, ModelFailed."""
    shortening = run.shortening
    messages: list[Message] = list(await run.recent())
    names = await shortening.tools([*run.agent.tool_names, *(f"{ASK}{other}" for other in run.agent.delegates)])
    models = run.tiered()
    for _ in range(run.agent.max_turns):
        reply = await models.reply(messages, tools=names)
        if not reply.calls:
            return reply.text
        steps = [_step(run, call) for call in reply.calls]
        results = await asyncio.gather(*steps) if len(steps) > 1 else [await steps[0]]
        messages.append(AssistantMessage(reply.text, reply.calls))
        returned = [(_message(call, result), result) for call, result in zip(reply.calls, results, strict=True)]
        messages += [shortening.result(message, result.result_tokens) for message, result in returned]
    raise RunFailed(
        f"Agent {run.agent.name} came to no answer in {run.agent.max_turns} turns.",
        "Ask for less at once, or raise the agent's max_turns.",
    )


def delegate_specs(agent: Agent, descriptions: dict[str, str]) -> Sequence[ToolSpec]:
    """The agents that may be asked now, as tools."""
    return [
        ToolSpec(
            name=f"{ASK}{other}",
            description=f"Ask the agent {other}: {descriptions[other]}",
            parameters={
                "type": "object",
                "properties": {"question": {"type": "string", "description": "The whole question"}},
                "required": ["question"],
            },
        )
        for other in agent.delegates
        if other in descriptions
    ]


def _step(run: Run, call: ToolCall) -> Step[Result]:
    other = call.tool.removeprefix(ASK)
    if call.tool.startswith(ASK) and other in run.agent.delegates:
        return run.outcome(other, str(call.arguments.get("question", "")) or run.text)
    return run.result(call.tool, call.arguments)


def _message(call: ToolCall, result: Result) -> ToolMessage:
    if result.error:
        content = f"{result.error.message} {result.error.hint}".strip()
        return ToolMessage(call_id=call.id, tool=call.tool, content=content, failed=True)
    return ToolMessage(call_id=call.id, tool=call.tool, content=result.value)
