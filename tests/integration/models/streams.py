"""Whole HTTP responses in the providers' own event streams, for what aimock cannot say."""

from __future__ import annotations

import json
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def events(*bodies: dict[str, Any]) -> bytes:
    """Server-sent events; one with a `type` is named by it, as Anthropic does."""
    said = HEAD
    for body in bodies:
        name = f"event: {body['type']}\n" if "type" in body else ""
        said += f"{name}data: {json.dumps(body)}\n\n".encode()
    return said


def openai_chunk(
    delta: dict[str, Any], finish: str | None = None, usage: dict[str, Any] | None = None, model: str = "m"
) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": finish}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]}
    return chunk | ({"usage": usage} if usage else {})


def google_chunk(text: str) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}]}


def anthropic_start(text: str, usage: dict[str, int], model: str = "m") -> tuple[dict[str, Any], ...]:
    message = {"id": "1", "type": "message", "role": "assistant", "model": model, "content": [], "usage": usage}
    return (
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": text}},
    )


def anthropic_end(usage: dict[str, int]) -> tuple[dict[str, Any], ...]:
    return (
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
        {"type": "message_stop"},
    )
