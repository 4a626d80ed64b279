"""What lets a provider read the beginning of a prompt from its cache, for a tenth to a half of the price.

All of them look for the longest beginning that they have seen: tools, instructions, then the messages in order. OpenAI
and Google do so by themselves, OpenAI more often when equal beginnings bear one key. Anthropic wants marks, and asks a
quarter more for what it writes: so the messages are marked only where another call is likely to go on from them.
"""

import hashlib
from typing import TYPE_CHECKING

import msgspec
from pydantic_ai.settings import ModelSettings as CallSettings

from trunkline.contracts.dialog import AssistantMessage, ModelQuery
from trunkline.models.tiers import Dialect

if TYPE_CHECKING:
    from pydantic_ai.models.anthropic import AnthropicModelSettings
    from pydantic_ai.models.openai import OpenAIChatModelSettings

_json = msgspec.json.Encoder().encode


def caching(query: ModelQuery, dialect: Dialect) -> CallSettings:
    """Nothing for a provider that has no such thing, or may not know it."""
    match dialect:
        case "anthropic":
            marks: AnthropicModelSettings = {
                "anthropic_cache_tool_definitions": bool(query.tools),
                "anthropic_cache_instructions": bool(query.instructions),
                "anthropic_cache_messages": _goes_on(query),
            }
            return marks
        case "openai" | "openai-responses":
            key: OpenAIChatModelSettings = {"openai_prompt_cache_key": _beginning(query)}
            return key
        case _:
            return CallSettings()


def _goes_on(query: ModelQuery) -> bool:
    """With tools, their results come next; in a conversation, the next question."""
    return bool(query.tools) or any(isinstance(message, AssistantMessage) for message in query.messages)


def _beginning(query: ModelQuery) -> str:
    """The same for all calls of an agent that are told of the same tools."""
    return hashlib.sha256(_json([query.instructions, query.tools])).hexdigest()[:32]
