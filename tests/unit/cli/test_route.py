"""`trunkline route` in words: who, why, and what stood to choose from."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.cli.route import as_document, lines, why


def shown(found: dict[str, Any]) -> list[str]:
    return [line.plain for line in lines(found)]


def test_several_questions_are_listed_with_who_answers_them() -> None:
    parts = [{"agent": "billing", "text": "Why twice?"}, {"agent": "post", "text": "Where is \x1b[31mit?"}]
    route = {"source": "several", "confidence": 0.8, "scores": {"post": 0.8, "billing": 0.9}}
    assert shown({"agent": "together", "route": route, "parts": parts}) == [
        "together  several questions, for different agents",
        "  1. billing  Why twice?",
        "  2. post     Where is �[31mit?",
        f"  billing  0.90  {'━' * 22}",
        f"  post     0.80  {'━' * 19}",
    ]


def test_tier_conversation_and_the_model_that_was_not_asked_are_said() -> None:
    found = {
        "agent": "billing",
        "route": {"source": "fallback", "difficulty": 0.25},
        "tier": "small",
        "partner": "post",
        "unasked": "openai:m",
    }
    assert shown(found)[1:] == [
        "  models of the tier small, for a difficulty of 0.25",
        "  the conversation is with post",
        "  not sure: a request would be shown to openai:m first",
    ]
    assert {key: as_document(found)[key] for key in ("tier", "partner", "unasked", "parts")} == {
        "tier": "small",
        "partner": "post",
        "unasked": "openai:m",
        "parts": [],
    }


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ({"source": "example"}, "the question is one of its examples"),
        ({"source": "embedding", "confidence": 0.876}, "embedding, 88% sure"),
        ({"source": "model:openai:m", "confidence": 0.9}, "model:openai:m, 90% sure"),
    ],
)
def test_every_source_says_why(route: dict[str, Any], words: str) -> None:
    assert why(route) == words
