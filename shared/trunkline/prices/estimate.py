"""About how many tokens a text has: for what to leave out of a prompt, never for what it may cost.

Each character counts by its class, so the estimate of two texts together is the sum of theirs. The weights were fitted
to o200k_base. Measured on pieces of 700 characters of English prose, questions, Python, JSON and logs: 6 % off in the
mean, 19 % at the 95th percentile, with o200k_base as with cl100k_base; German, French, Spanish, Chinese, Japanese,
Korean, Arabic and Thai up to 17 % too high with o200k_base, Russian and Hindi up to 36 %. Older vocabularies
(cl100k_base) need up to twice as many for other scripts than the Latin one.
"""

from __future__ import annotations

import string

import msgspec

from trunkline.contracts.dialog import AssistantMessage, Message, UserMessage

MESSAGE_TOKENS = 4
"""Role and end marks."""
_json = msgspec.json.Encoder().encode
_WEIGHTS: tuple[tuple[bytes, int], ...] = (
    (string.ascii_lowercase.encode(), 225),
    (string.ascii_uppercase.encode(), 420),
    (string.digits.encode(), 680),
    (string.whitespace.encode(), 150),
    (string.punctuation.encode(), 390),
    (bytes({*range(0x20), 0x7F} - set(string.whitespace.encode())), 1000),
    (bytes(range(0xC2, 0xE0)), 360),  # accents, Greek, Cyrillic, Hebrew, Arabic
    (bytes(range(0xE0, 0xE3)), 420),  # the scripts of India, Thai
    (bytes(range(0xE3, 0xF0)), 750),  # Chinese, Japanese, Korean
    (bytes(range(0xF0, 0xF5)), 2000),  # emoji
)
"""Bytes of UTF-8 that begin a character, and thousandths of a token that it counts."""


def estimated_tokens(text: str) -> int:
    """At least 1 for any text but an empty one."""
    return _rounded_up(_weight(text.encode("utf-8", "surrogatepass")))


def estimated_json_tokens(value: object) -> int:
    """Of a JSON value as it is sent."""
    return _rounded_up(_weight(_json(value)))


def estimated_message_tokens(message: Message) -> int:
    if isinstance(message, UserMessage):
        return MESSAGE_TOKENS + estimated_tokens(message.text)
    if isinstance(message, AssistantMessage):
        calls = estimated_json_tokens(message.calls) if message.calls else 0
        return MESSAGE_TOKENS + estimated_tokens(message.text) + calls
    return MESSAGE_TOKENS + estimated_json_tokens(message.content)


def _weight(raw: bytes) -> int:
    """In thousandths of a token."""
    size = len(raw)
    return sum(weight * (size - len(raw.translate(None, each))) for each, weight in _WEIGHTS)


def _rounded_up(thousandths: int) -> int:
    return -(-thousandths // 1000)
