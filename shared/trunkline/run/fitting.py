"""Which tools a model is told of, when the agent has too many: those that fit what was asked, by their words. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from trunkline.contracts.dialog import ToolSpec

NAME_WEIGHT, TEXT_WEIGHT, PARAMETER_WEIGHT = 3.0, 1.0, 0.5
STEM = 5
"""Letters by which words are the same: `invoice`, `invoices`, `invoicing`."""
_WORD = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def fitting(
    tools: Sequence[ToolSpec], texts: Sequence[tuple[str, float]], most: int, *, used: Collection[str] = ()
) -> tuple[str, ...]:
    """The names of at most `most` tools, in the order given: those `used` before, then those most like the `texts`,
    each of which counts by its weight; of equal ones the first.
    """
    words = [_words_of(tool) for tool in tools]
    known = Counter(word for each in words for word in each)
    rarity = {word: math.log(1 + len(tools) / count) for word, count in known.items()}
    wanted: dict[str, float] = {}
    for text, weight in sorted(texts, key=lambda each: each[1]):
        wanted |= dict.fromkeys(_stems(text), weight)
    scores = [_likeness(each, wanted, rarity) for each in words]
    best = sorted(range(len(tools)), key=lambda place: (tools[place].name not in used, -scores[place], place))
    return tuple(tools[place].name for place in sorted(best[:most]))


def _likeness(words: Mapping[str, float], wanted: Mapping[str, float], rarity: Mapping[str, float]) -> float:
    return math.fsum(weight * wanted[word] * rarity[word] for word, weight in words.items() if word in wanted)


def _words_of(tool: ToolSpec) -> dict[str, float]:
    """Each with the weight of the most telling place where it stands."""
    weights: dict[str, float] = {}
    places = (
        (PARAMETER_WEIGHT, " ".join(_parameter_texts(tool.parameters))),
        (TEXT_WEIGHT, tool.description),
        (NAME_WEIGHT, tool.name),
    )
    for weight, text in places:
        weights |= dict.fromkeys(_stems(text), weight)
    return weights


def _parameter_texts(schema: object) -> Iterable[str]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, about in properties.items() if isinstance(properties, dict) else ():
        yield str(name)
        if isinstance(about, dict):
            yield str(about.get("description", ""))


def _stems(text: str) -> list[str]:
    words = _WORD.findall(_CAMEL.sub(" ", text).casefold())
    return [word[:STEM] for word in words if len(word) > 1 or not word.isascii()]
