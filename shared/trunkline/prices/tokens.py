"""How many tokens a text can be at most, without any provider's vocabulary.

A token of any tokenizer in use stands for at least one byte of UTF-8: byte-level BPE (OpenAI, Anthropic, Llama, Qwen)
and SentencePiece with byte fallback (Gemini, Mistral) spell what they do not know in single bytes, and merge.
So a text has at most as many tokens as bytes; English has about a quarter of that. What stands around the texts, the
marks of a chat template and the words with which tools are announced, is counted by allowances.
"""

from __future__ import annotations

import msgspec

from trunkline.contracts.dialog import AssistantMessage, Message, ModelQuery, ToolSpec, UserMessage

EACH_TEXT = 1
"""SentencePiece puts a space before a text."""
EACH_MESSAGE = 16
"""Role and end marks; 4 to 8 in the templates that are published."""
EACH_CALL = 32
"""A tool call's or a result's id and marks, beside what is counted of it."""
EACH_QUERY = 64
TOOLS = 1024
"""What a provider tells the model of how to use tools; the longest that is documented has 530 tokens."""
_json = msgspec.json.Encoder().encode


def most_tokens(text: str) -> int:
    """An upper bound; of an empty text as well."""
    return len(text.encode("utf-8", "surrogatepass")) + EACH_TEXT


def most_input_tokens(query: ModelQuery) -> int:
    """An upper bound of the `input_tokens` that a provider counts for the query."""
    tools = TOOLS + sum(_of_tool(tool) for tool in query.tools) if query.tools else 0
    said = sum(_of_message(message) for message in query.messages)
    return EACH_QUERY + EACH_MESSAGE + most_tokens(query.instructions) + tools + said


def _of_message(message: Message) -> int:
    if isinstance(message, UserMessage):
        return EACH_MESSAGE + most_tokens(message.text)
    if isinstance(message, AssistantMessage):
        calls = sum(EACH_CALL + _of_json(call) for call in message.calls)
        return EACH_MESSAGE + most_tokens(message.text) + calls
    return EACH_MESSAGE + EACH_CALL + _of_json(message)


def _of_tool(tool: ToolSpec) -> int:
    return EACH_MESSAGE + _of_json(tool)


def _of_json(value: object) -> int:
    return len(_json(value)) + EACH_TEXT
