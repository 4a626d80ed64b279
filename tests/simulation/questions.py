"""What is asked in a simulation, and what must come of it.

A question is `<label>|<turns>`: `r1|lb,a` has two turns, first the calls `look` and `book`, then a question to another
agent. Each call bears a key of its own, `<label>.<turn>.<call>`, so that what is paid and run can be counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.contracts.dialog import ToolCall

LOOK, BOOK = "look", "book"
TOOLS = {"l": LOOK, "b": BOOK}
WRITES = frozenset({BOOK})


def label_of(question: str) -> str:
    return question.partition("|")[0]


def calls_in(question: str, turn: int) -> tuple[ToolCall, ...]:
    """What the model wants in a turn, counted from 0; nothing when it is to answer."""
    wanted = keys_in(question)[turn : turn + 1]
    return tuple(_call(letter, key) for letter, key in wanted[0]) if wanted else ()


def keys_in(question: str) -> list[list[tuple[str, str]]]:
    """Each turn's calls, by their letters and keys."""
    label, _, turns = question.partition("|")
    return [
        [(letter, f"{label}.{turn}.{index}") for index, letter in enumerate(letters)]
        for turn, letters in enumerate(turns.split(","))
    ]


def _call(letter: str, key: str) -> ToolCall:
    if letter == "a":
        return ToolCall(id=key, tool="ask.aide", arguments={"question": f"{key}|l"})
    return ToolCall(id=key, tool=TOOLS[letter], arguments={"key": key})


def spoken(question: str, results: Sequence[str]) -> str:
    """The answer, once every call has come back."""
    return f"{label_of(question)}: {', '.join(results)}"


def value_of(tool: str, key: str) -> str:
    return f"{tool} {key}"
