"""Questions that need no classifier: word for word one of an agent's examples."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from trunkline_router.classifiers.classify import RouteCard

_END = re.compile(r"[\s.,;:!?…。！？]+$")  # noqa: RUF001  # as they end a question in Chinese and Japanese


def normalised(text: str) -> str:
    """What remains of a question when it does not matter how it was typed: Unicode's compatibility form (NFKC), case,
    white space and the marks at its end. Numbers, negations and marks within are kept.
    """
    return _END.sub("", " ".join(unicodedata.normalize("NFKC", text).casefold().split()))


def known_questions(routes: Iterable[RouteCard]) -> Mapping[str, str]:
    """The agent of each example, normalised; without those that more than one agent claims."""
    owners: dict[str, set[str]] = {}
    for route in routes:
        for example in route.examples:
            owners.setdefault(normalised(example), set()).add(route.label)
    return {text: next(iter(labels)) for text, labels in owners.items() if text and len(labels) == 1}
