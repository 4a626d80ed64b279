"""The built-in loop: think, use tools, think again, answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from trunkline.contracts.dialog import AssistantMessage, Message, ToolCall, ToolMessage, ToolSpec
from trunkline.contracts.errors import RunFailed

if TYPE_CHECKING:
    from trunkline.agent import Agent
    from trunkline.contracts.messages import Result
    from trunkline.run.run import Run, Step

ASK = "ask."
"""How a model sees an agent that it may ask: as a tool named `ask.<agent>`."""


async def tool_loop(run: Run) -> str:
    """The answer. Raises RunFailed after `max_turns` without one, ModelFailed."""
    messages: list[Message] = list(run.messages)
    names = [*run.agent.tool_names, *(f"{ASK}{other}" for other in run.agent.delegates)]
    for _ in range(run.agent.max_turns):
        reply = await run.model(messages, tools=names)
        if not reply.calls:
            return reply.text
        steps = [_step(run, call) for call in reply.calls]
        results = await asyncio.gather(*steps) if len(steps) > 1 else [await steps[0]]
        messages.append(AssistantMessage(reply.text, reply.calls))
        messages += [_message(call, result) for call, result in zip(reply.calls, results, strict=True)]
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
