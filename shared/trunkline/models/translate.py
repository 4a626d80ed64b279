"""Our messages to pydantic-ai's and back. Imported only when a provider's model is asked."""

from collections.abc import Sequence

from pydantic_ai import messages as wire
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings as CallSettings
from pydantic_ai.tools import ToolDefinition

from trunkline.contracts.dialog import (
    AssistantMessage,
    Message,
    ModelQuery,
    ModelReply,
    ToolCall,
    ToolMessage,
    ToolSpec,
    Usage,
    UserMessage,
)
from trunkline.contracts.ids import tool_name, tool_token
from trunkline.models.prompt_caching import caching
from trunkline.models.tiers import Dialect


def to_wire(query: ModelQuery) -> list[wire.ModelMessage]:
    """Neighbouring user and tool messages become one request, as every provider wants it."""
    turns: list[wire.ModelMessage] = []
    waiting: list[wire.ModelRequestPart] = []
    for message in query.messages:
        if not isinstance(message, AssistantMessage):
            waiting.append(_asked(message))
            continue
        turns += _request(waiting, query.instructions)
        waiting = []
        if parts := _said(message):
            turns.append(wire.ModelResponse(parts=parts))
    return turns + _request(waiting, query.instructions)


def parameters(tools: Sequence[ToolSpec]) -> ModelRequestParameters:
    return ModelRequestParameters(
        function_tools=[
            ToolDefinition(
                name=tool_token(tool.name),
                description=tool.description or None,
                parameters_json_schema={"type": "object", "properties": {}} | tool.parameters,
            )
            for tool in tools
        ]
    )


def call_settings(query: ModelQuery, dialect: Dialect) -> CallSettings:
    settings = caching(query, dialect)
    if query.max_output_tokens:
        settings["max_tokens"] = query.max_output_tokens
    if query.temperature is not None:
        settings["temperature"] = query.temperature
    return settings


def from_wire(response: wire.ModelResponse, provider: str) -> ModelReply:
    """Raises ValueError or AssertionError for tool arguments that are not a JSON object."""
    calls = tuple(
        ToolCall(
            id=part.tool_call_id,
            tool=tool_name(part.tool_name),
            arguments=part.args_as_dict(raise_if_invalid=True),
        )
        for part in response.parts
        if isinstance(part, wire.ToolCallPart)
    )
    usage = response.usage
    return ModelReply(
        model=f"{provider}:{response.model_name}",
        text="".join(part.content for part in response.parts if isinstance(part, wire.TextPart)),
        calls=calls,
        usage=Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        ),
        finish="tool_call" if calls and response.finish_reason == "stop" else finish(response),
    )


def finish(response: wire.ModelResponse) -> str:
    """Empty when the provider never said that it was done."""
    return response.finish_reason or str((response.provider_details or {}).get("finish_reason") or "")


def _request(parts: list[wire.ModelRequestPart], instructions: str) -> list[wire.ModelMessage]:
    return [wire.ModelRequest(parts=parts, instructions=instructions or None)] if parts else []


def _asked(message: Message) -> wire.ModelRequestPart:
    if isinstance(message, UserMessage):
        return wire.UserPromptPart(content=message.text)
    assert isinstance(message, ToolMessage)  # noqa: S101  # the third of three
    return wire.ToolReturnPart(
        tool_name=tool_token(message.tool),
        content=message.content,
        tool_call_id=message.call_id,
        outcome="failed" if message.failed else "success",
    )


def _said(message: AssistantMessage) -> list[wire.ModelResponsePart]:
    text: list[wire.ModelResponsePart] = [wire.TextPart(content=message.text)] if message.text else []
    return text + [
        wire.ToolCallPart(tool_name=tool_token(call.tool), args=dict(call.arguments), tool_call_id=call.id)
        for call in message.calls
    ]
