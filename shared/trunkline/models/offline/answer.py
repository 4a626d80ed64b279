"""Tool results as short plain sentences, and what the offline model says when it has none."""

from typing import Any

from trunkline.contracts.dialog import ToolMessage

MARK = "(offline model)"
_SHOWN_ITEMS = 10
_SHOWN_CHARACTERS = 4000
_DEPTH = 4


def report(results: list[ToolMessage]) -> str:
    """One sentence per result, in the order of the calls."""
    return " ".join(_failed(one) if one.failed else _succeeded(one) for one in results)


def facts_in(results: list[ToolMessage]) -> dict[str, Any]:
    """The named scalars of successful results, which later calls may be about."""
    known: dict[str, Any] = {}
    for one in results:
        content = one.content[0] if isinstance(one.content, list) and len(one.content) == 1 else one.content
        if not one.failed and isinstance(content, dict):
            known |= {str(key): value for key, value in content.items() if isinstance(value, str | int | float)}
    return known


def unable(question: str, tools: tuple[str, ...]) -> str:
    """It does not know, and says so."""
    asked = question if len(question) <= 120 else f"{question[:117]}..."
    can = f"None of my tools fits ({', '.join(tools)})." if tools else "I have no tools here."
    return (
        f'{MARK} I cannot answer "{asked}": I only pick tools and report what they return. {can} '
        "Set a provider's key, or name a model in trunkline.toml, for real answers."
    )


def wanting(tool: str, names: list[str]) -> str:
    needed = " and ".join(f"`{name}`" for name in names)
    return f"{MARK} For {tool} I need {needed}. Please ask again and say it."


def render(value: Any, depth: int = 0) -> str:  # any JSON value
    if isinstance(value, dict) and value and depth < _DEPTH:
        return ", ".join(f"{key}: {_nested(one, depth)}" for key, one in value.items())
    if isinstance(value, list) and value and depth < _DEPTH:
        shown = [_nested(one, depth) for one in value[:_SHOWN_ITEMS]]
        more = len(value) - len(shown)
        return ", ".join(shown) + (f", and {more} more" if more else "")
    if value is None or value in ([], {}):
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _nested(value: Any, depth: int) -> str:
    text = render(value, depth + 1)
    return f"({text})" if isinstance(value, dict | list) and value else text


def _succeeded(one: ToolMessage) -> str:
    text = render(one.content)
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[:_SHOWN_CHARACTERS]}..."
    if isinstance(one.content, str) and len(text.split()) > 2:
        return _closed(text)
    if isinstance(one.content, dict | list) and one.content:
        return _closed(f"{one.tool} returned {text}")
    return _closed(f"The result of {one.tool} is {text}")


def _failed(one: ToolMessage) -> str:
    if isinstance(one.content, dict):
        what = str(one.content.get("message") or one.content.get("error") or render(one.content))
        hint = str(one.content.get("hint") or "")
    else:
        what, hint = render(one.content), ""
    advice = hint or "Try again later, or ask for something else."
    return f"{_closed(f'{one.tool} failed: {what}')} {_closed(advice)}"


def _closed(sentence: str) -> str:
    sentence = sentence.rstrip()
    return sentence if sentence.endswith((".", "!", "?", "…", ")", '"', "`")) else f"{sentence}."
