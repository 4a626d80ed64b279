"""How hard a question looks, and what outcomes change about that."""

from __future__ import annotations

import pytest

from trunkline.contracts.registry import AgentCard
from trunkline_router.classifiers.encoder import SentenceEncoder
from trunkline_router.classifiers.few_shot import FewShotClassifier
from trunkline_router.learning.difficulty import Difficulty, prior
from trunkline_router.learning.lessons import Outcome

EASY = (
    "Hello",
    "Where is my parcel?",
    "What is the weather in Oslo tomorrow?",
    "I want my money back for invoice 17",
    "Was kostet der Versand nach Wien?",
    "My card was declined at a shop yesterday and I do not know what to do now, can you help me please",
    "Refund 3 of the 12 items",
)
HARD = (
    "Compare both contracts step by step and explain why the second one is better if interest rises by 3 % or 4 %.",
    "Explain why this fails, and recommend a better design: `def f(x): return x[1:]`",
    "Plan a trip for 4 people over 3 days: if it rains we go to museums, otherwise hike. Estimate the cost, and why?",
    "Vergleiche die drei Tarife und erkläre, warum der zweite besser ist, falls ich 120 Minuten telefoniere.",
    "word " * 400,
)
QUESTION = "Which tariff applies to my meter?"
PARAPHRASE = "What tariff is used for my meter?"
OTHER = "Where can I park my bicycle?"


@pytest.mark.parametrize("question", EASY)
def test_plain_questions_look_easy(question: str) -> None:
    assert 0 <= prior(question) < 0.5


@pytest.mark.parametrize("question", HARD)
def test_questions_with_several_steps_look_hard(question: str) -> None:
    assert 0.5 <= prior(question) <= 1


@pytest.mark.parametrize("question", ["", "?" * 32_000, "1" * 32_000, "a(" * 16_000, "SELECT " * 4_000, "why " * 8_000])
def test_no_question_takes_long_or_leaves_the_range(question: str) -> None:
    """Patterns that look back and forth would take minutes here; the test's time-out is the judge."""
    for _ in range(50):
        assert 0 <= prior(question) <= 1


def learnt(encoder: SentenceEncoder | None, **outcomes: list[Outcome]) -> Difficulty:
    difficulty = Difficulty(FewShotClassifier(encoder) if encoder else None)
    difficulty.learn(outcomes)
    return difficulty


@pytest.mark.parametrize("by_meaning", [True, False])
def test_what_the_small_tier_failed_at_is_hard_and_what_is_alike(encoder: SentenceEncoder, by_meaning: bool) -> None:
    difficulty = learnt(encoder if by_meaning else None, a=[Outcome(QUESTION, hard=True)])
    assert prior(QUESTION) < 0.2
    assert difficulty.of("a", QUESTION) > 0.5
    assert prior(PARAPHRASE) + 0.01 < difficulty.of("a", PARAPHRASE) < difficulty.of("a", QUESTION)
    assert difficulty.of("a", OTHER) == pytest.approx(prior(OTHER), abs=0.05)


def test_what_it_managed_is_easy_however_it_looks(encoder: SentenceEncoder) -> None:
    hard = HARD[0]
    assert learnt(encoder, a=[Outcome(hard, hard=False)]).of("a", hard) < 0.5 < prior(hard)


def test_outcomes_are_of_one_agent(encoder: SentenceEncoder) -> None:
    assert learnt(encoder, a=[Outcome(QUESTION, hard=True)]).of("b", QUESTION) == prior(QUESTION)


def test_an_agent_whose_small_tier_always_fails_gets_the_large_one_for_everything(encoder: SentenceEncoder) -> None:
    failed = [Outcome(f"{QUESTION} Number {number}", hard=True) for number in range(200)]
    assert learnt(encoder, a=failed).of("a", OTHER) > 0.5


def test_it_says_the_same_each_time_and_forgets_what_is_taken_back(encoder: SentenceEncoder) -> None:
    outcomes = [Outcome(QUESTION, hard=True), Outcome(OTHER, hard=False)]
    one, other = learnt(encoder, a=outcomes), learnt(encoder, a=outcomes)
    assert one.of("a", PARAPHRASE) == other.of("a", PARAPHRASE)
    one.learn({})
    assert one.of("a", QUESTION) == prior(QUESTION)
    assert one._points == {}


async def test_only_an_agent_that_leaves_it_open_has_a_tier() -> None:
    difficulty = Difficulty()
    auto, fixed = AgentCard(agent="a", worker="1", model="auto"), AgentCard(agent="a", worker="1", model="small")
    assert await difficulty.tier(fixed, HARD[0], hard=0.5) == ("", None)
    assert await difficulty.tier(None, HARD[0], hard=0.5) == ("", None)
    assert await difficulty.tier(auto, EASY[0], hard=0.5) == ("small", round(prior(EASY[0]), 4))
    assert await difficulty.tier(auto, HARD[0], hard=0.5) == ("large", round(prior(HARD[0]), 4))
    assert await difficulty.tier(auto, HARD[-1], hard=1.0) == ("small", round(prior(HARD[-1]), 4))
