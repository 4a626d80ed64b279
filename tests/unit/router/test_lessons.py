"""What verdicts on answers teach, and what they do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from trunkline.contracts.messages import Feedback
from trunkline.contracts.registry import AgentCard
from trunkline_router.classifiers.known import normalised
from trunkline_router.learning.difficulty import Difficulty
from trunkline_router.learning.lessons import (
    MOST_EXAMPLES,
    MOST_OF_ONE_USER,
    MOST_RUNS,
    Asked,
    Lessons,
    Outcome,
    Taught,
)

MONDAY = datetime(2026, 11, 23, 12, tzinfo=UTC)
WHERE = "Where is my parcel?"


class Story:
    """A log of verdicts: each call is one message."""

    def __init__(self, *operators: str) -> None:
        self.lessons = Lessons(operators=operators)
        self.sequence = 0
        self.at = MONDAY

    def said(
        self,
        verdict: int,
        *,
        by: str = "ada",
        should: str = "",
        question: str = WHERE,
        user: str = "ada",
        agent: str = "billing",
        source: str = "embedding",
        tier: str = "",
        run: str = "",
    ) -> Story:
        self.sequence += 1
        asked = Asked(question, user, agent, source, tier)
        fact = Feedback(verdict=verdict, agent=should, by=by)
        self.lessons.feedback(run or f"run-{self.sequence}", asked, self.sequence, self.at, fact)
        return self

    def checked(
        self, *, passed: bool, question: str = WHERE, tier: str = "small", run: str = "", user: str = "ada"
    ) -> Story:
        self.sequence += 1
        asked = Asked(question, user, "billing", "embedding", tier)
        self.lessons.checked(run or f"run-{self.sequence}", asked, self.sequence, self.at, passed=passed)
        return self

    @property
    def examples(self) -> dict[str, tuple[str, ...]]:
        return dict(self.lessons.taught().examples)

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for found in self.lessons.taught().outcomes.values() for outcome in found]


def test_a_correction_makes_the_question_an_example_of_who_should_have_answered() -> None:
    assert Story().said(-1, should="shipping").examples == {"shipping": (WHERE,)}
    assert Story().said(0, should="shipping").examples == {"shipping": (WHERE,)}


@pytest.mark.parametrize(
    ("source", "learnt"),
    [
        ("embedding", True),
        ("lexical", True),
        ("model:openai:m", True),
        ("only_agent", False),
        ("asked_for", False),
        ("fallback", False),
        ("conversation", False),
        ("greeting", False),
        ("several", False),
    ],
)
def test_a_good_answer_makes_it_one_of_who_answered_if_the_words_decided(source: str, learnt: bool) -> None:
    assert Story().said(1, source=source).examples == ({"billing": (WHERE,)} if learnt else {})


@pytest.mark.parametrize("source", ["conversation", "greeting", "several"])
def test_words_that_decided_nothing_teach_nothing(source: str) -> None:
    assert Story().said(-1, should="shipping", source=source, question="And why?").examples == {}


def test_a_bad_answer_takes_the_example_away() -> None:
    story = Story().said(1)
    assert story.said(-1, question="  where is my PARCEL ?").examples == {}


def test_who_changes_their_mind_is_heard() -> None:
    story = Story().said(1, run="r")
    assert story.said(-1, run="r", should="shipping").examples == {"shipping": (WHERE,)}
    assert story.said(0, run="r").examples == {}
    assert story.said(1, run="r").examples == {"billing": (WHERE,)}


def test_an_older_verdict_that_comes_late_changes_nothing() -> None:
    story = Story().said(1, run="r").said(-1, run="r")
    asked = Asked(WHERE, "ada", "billing", "embedding")
    story.lessons.feedback("r", asked, 1, MONDAY, Feedback(verdict=1, by="ada"))
    assert story.examples == {}


def test_only_who_asked_is_heard() -> None:
    assert Story().said(-1, by="eve", should="evil").examples == {}
    assert Story().said(1, by="").examples == {}


def test_an_operator_is_heard_for_everybody_and_before_everybody() -> None:
    story = Story("olga").said(-1, should="sales").said(1, user="bob", by="bob")
    story.said(-1, by="olga", should="shipping")
    assert story.examples == {"shipping": (WHERE,)}
    assert story.lessons.taught().hearsay == frozenset()


def test_the_majority_decides_and_a_draw_teaches_nothing() -> None:
    story = Story().said(-1, should="shipping")
    story.said(1, user="bob", by="bob")
    assert story.examples == {}
    story.said(-1, user="cid", by="cid", should="shipping")
    assert story.examples == {"shipping": (WHERE,)}


def test_one_user_has_one_vote_on_a_question_however_often_he_asks() -> None:
    story = Story()
    for _ in range(10):
        story.said(-1, should="shipping")
    story.said(1, user="bob", by="bob")
    assert story.examples == {}


def test_what_one_user_alone_says_is_hearsay() -> None:
    story = Story().said(-1, should="shipping")
    assert story.lessons.taught().hearsay == {normalised(WHERE)}
    story.said(-1, user="bob", by="bob", should="shipping")
    assert story.lessons.taught().hearsay == frozenset()


def test_one_user_cannot_fill_an_agent_with_examples() -> None:
    story = Story()
    for number in range(50):
        story.said(-1, should="evil", question=f"question {number}")
        story.said(-1, user="bob", by="bob", should="evil", question=f"other question {number}")
    assert story.examples == {
        "evil": tuple(
            f"{other}question {number}" for number in range(50 - MOST_OF_ONE_USER, 50) for other in ("", "other ")
        )
    }


def test_an_agent_learns_the_newest_so_many() -> None:
    story = Story("olga")
    for number in range(MOST_EXAMPLES + 10):
        story.said(-1, by="olga", should="shipping", question=f"question {number}")
    assert len(story.examples["shipping"]) == MOST_EXAMPLES
    assert story.examples["shipping"][0] == "question 10"


def test_old_lessons_and_too_many_are_forgotten() -> None:
    story = Story("olga").said(1)
    story.at = MONDAY + timedelta(days=31)
    story.said(1, question="new")
    assert story.examples == {"billing": ("new",)}
    for number in range(MOST_RUNS):
        story.said(0, question=f"question {number}")
    assert story.examples == {}
    assert len(story.lessons._runs) == MOST_RUNS


def test_a_very_long_question_is_no_example() -> None:
    assert Story().said(-1, should="shipping", question="why " * 500).examples == {}


@pytest.mark.parametrize(("verdict", "hard"), [(-1, [True]), (1, [False]), (0, [])])
def test_a_verdict_on_a_small_answer_says_whether_it_was_hard(verdict: int, hard: list[bool]) -> None:
    assert [each.hard for each in Story().said(verdict, tier="small").outcomes] == hard
    assert Story().said(verdict, tier="large").outcomes == []
    assert Story().said(verdict, tier="").outcomes == []


def test_the_wrong_agent_says_nothing_of_difficulty() -> None:
    assert Story().said(-1, should="shipping", tier="small").outcomes == []


def test_a_check_says_whether_it_was_hard_and_then_the_answer_was_not_the_small_ones() -> None:
    story = Story().checked(passed=False, run="r")
    assert story.outcomes == [Outcome(WHERE, hard=True)]
    story.said(1, tier="small", run="r")
    assert story.outcomes == [Outcome(WHERE, hard=True)]
    assert Story().checked(passed=True, run="r").said(-1, tier="small", run="r").outcomes == [
        Outcome(WHERE, hard=False),
        Outcome(WHERE, hard=True),
    ]
    assert Story().checked(passed=False, tier="").outcomes == []


def test_one_user_cannot_make_everything_hard() -> None:
    story = Story()
    for number in range(50):
        story.said(-1, tier="small", question=f"question {number}")
    assert len(story.outcomes) == MOST_OF_ONE_USER


def test_nothing_said_teaches_nothing() -> None:
    assert Lessons().taught() == Taught()


async def test_one_user_whose_questions_are_all_too_hard_does_not_make_everybodys_dear() -> None:
    """The check lets nothing pass of what mallory asks."""
    story = Story("boss")
    for number in range(300):
        story.checked(passed=False, question=f"zxqv {number:x}", user="mallory")
    card, difficulty = AgentCard(agent="billing", worker="1", model="auto"), Difficulty()
    difficulty.learn(story.lessons.taught().outcomes)
    assert (await difficulty.tier(card, WHERE, hard=0.5))[0] == "small"
    for number in range(300):
        story.checked(passed=False, question=f"zxqv {number:x}", user="boss" if number % 2 else f"user {number}")
    difficulty.learn(story.lessons.taught().outcomes)
    assert (await difficulty.tier(card, WHERE, hard=0.5))[0] == "large"
