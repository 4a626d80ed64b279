"""What is too long for a prompt, cut in its middle: a text, or a JSON value, which stays one. Pure."""

from __future__ import annotations

from typing import Any

from trunkline.prices.estimate import estimated_json_tokens, estimated_tokens

DEEPEST = 24
"""Levels of lists and objects that are looked into."""
LARGEST_SHARE = 3
"""One element of a list may take that part of its room, the others shall be seen too."""
MARK = "…"


def trimmed(value: Any, most: int) -> Any:  # any JSON value
    """`value` when it has at most `most` tokens, else what fits of it: long texts and lists without their middle, and
    a mark that says how much is missing. All by the estimate of trunkline.prices; `most` is at least 2.
    """
    if estimated_json_tokens(value) <= most:
        return value
    room = most
    while room > 0:
        found = _fitted(value, room, DEEPEST)
        excess = estimated_json_tokens(found) - most
        if excess <= 0:
            return found
        room -= max(excess, room // 8, 1)
    return MARK


def trimmed_text(text: str, most: int) -> str:
    """`text` when it has at most `most` tokens, else its beginning and its end with a mark between them."""
    if estimated_tokens(text) <= most:
        return text
    low, high = 0, len(text)
    while low < high - 1:
        kept = (low + high) // 2
        low, high = (kept, high) if estimated_tokens(_without_middle(text, kept)) <= most else (low, kept)
    return _without_middle(text, low) if low else MARK


def _without_middle(text: str, kept: int) -> str:
    """Its first and last characters, `kept` of them together."""
    end = len(text) - kept // 2
    return f"{text[: kept - kept // 2]}{MARK} [characters left out: {len(text) - kept}] {MARK}{text[end:]}"


def _fitted(value: Any, room: int, depth: int) -> Any:
    if estimated_json_tokens(value) <= room:
        return value
    if isinstance(value, str):
        return trimmed_text(value, max(room - 1, 0))
    if isinstance(value, list) and depth and room > 0:
        return _fitted_list(value, room, depth)
    if isinstance(value, dict) and depth and room > 0:
        return _fitted_object(value, room, depth)
    return MARK


def _fitted_list(values: list[Any], room: int, depth: int) -> list[Any]:
    """From both ends, as many as fit."""
    first: list[Any] = []
    last: list[Any] = []
    room -= _size(_missing(len(values), "elements"))
    share = max(room // LARGEST_SHARE, 1)
    for index in range(len(values)):
        end, position = (first, index // 2) if index % 2 == 0 else (last, -1 - index // 2)
        each = _fitted(values[position], share, depth - 1)
        room -= _size(each)
        if room < 0:
            break
        end.append(each)
    missing = len(values) - len(first) - len(last)
    return [*first, *([_missing(missing, "elements")] if missing else []), *reversed(last)]


def _fitted_object(values: dict[str, Any], room: int, depth: int) -> dict[str, Any]:
    """Its first keys that fit, at least in short; among their values the short ones are whole, the long ones share."""
    shown: dict[str, Any] = {}
    left = room - _size({MARK: _missing(len(values), "keys")})
    for key, value in values.items():
        left -= _size(key) + min(_size(value), _size(MARK) + 8)
        if left < 0:
            break
        shown[key] = value
    room -= sum(_size(key) for key in shown)
    missing = len(values) - len(shown)
    if missing:
        room -= _size({MARK: _missing(missing, "keys")})
    kept: dict[str, Any] = {}
    for count, key in enumerate(sorted(shown, key=lambda each: _size(shown[each]))):
        kept[key] = _fitted(shown[key], max(room // (len(shown) - count), 0), depth - 1)
        room -= _size(kept[key])
    ordered = {key: kept[key] for key in shown}
    return ordered | ({MARK: _missing(missing, "keys")} if missing else {})


def _missing(count: int, what: str) -> str:
    return f"{MARK} {what} left out: {count} {MARK}"


def _size(value: Any) -> int:
    """With the comma or colon behind it."""
    return estimated_json_tokens(value) + 1
