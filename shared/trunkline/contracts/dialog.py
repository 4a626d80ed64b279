"""What is said to a model and what it says back, whoever the provider is."""

from typing import Any

import msgspec


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The model wants this tool run. `id` is the provider's and pairs the call with its return."""

    id: str
    tool: str
    arguments: dict[str, Any] = {}


class UserMessage(msgspec.Struct, frozen=True, tag_field="role", tag="user"):
    text: str


class AssistantMessage(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="role", tag="assistant"):
    text: str = ""
    calls: tuple[ToolCall, ...] = ()


class ToolMessage(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="role", tag="tool"):
    """What a call came to. `content` is any JSON value; with `failed`, the error as the model shall read it."""

    call_id: str
    tool: str
    content: Any = None
    failed: bool = False


Message = UserMessage | AssistantMessage | ToolMessage


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a model is told of a tool. `parameters` is a JSON schema of an object."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one model call. `input_tokens` includes the cached ones."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
        )


class ModelQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One paid question to a model. `model` is `provider:name`; `max_output_tokens` 0 leaves it to the provider."""

    model: str
    instructions: str = ""
    messages: tuple[Message, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    max_output_tokens: int = 0
    temperature: float | None = None


class ModelReply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came back. `model` is the `provider:name` that really served it."""

    model: str
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    finish: str = ""
