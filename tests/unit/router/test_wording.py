"""When two questions are the same one, and when they cannot be."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.cache import cache_key
from trunkline_router.deciding.wording import essentials, standard_form
from trunkline_router.reuse.keys import Question

WORDS = st.lists(st.sampled_from(["where", "is", "my", "card", "Anna", "Berlin", "the", "order", "why"]), min_size=1)
TYPED = st.sampled_from(
    [str.lower, str.upper, str.title, lambda text: text.replace(" ", "  "), lambda text: f" {text}\t"]
)


@given(WORDS, TYPED, st.sampled_from(["", ".", "?", "!!", "?!", " …", "。"]))  # as people type
def test_how_a_question_is_typed_makes_no_difference(words: list[str], typed: object, end: str) -> None:
    text = " ".join(words).lower()
    assert callable(typed)
    if len(words) > 1 or typed is not str.upper:  # one word in capitals may be an abbreviation
        assert standard_form(typed(text) + (end if len(text) > 1 else "")) == standard_form(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 5²?", "What is 52?"),
        ("What is 5½?", "What is 51\u20442?"),
        ("What is ①?", "What is 1?"),
        ("What is 5!", "What is 5?"),
        ("What is 5!!", "What is 5!"),
        ("What is n!", "What is n?"),
        ("Is it open?", "Is it not open?"),
        ("Can I?", "Can't I?"),
        ("What is -5?", "What is 5?"),
        ("What is 1.5?", "What is 15?"),
        ("Decode QUJD", "Decode qujd"),
        ("What does this print:\nif a:\n  b\nc", "What does this print:\nif a:\n  b\n  c"),
    ],
)
def test_what_may_mean_something_keeps_questions_apart(one: str, other: str) -> None:
    assert standard_form(one) != standard_form(other)


@given(st.text(max_size=60), st.text(max_size=60))
def test_questions_of_one_form_have_the_same_numbers_and_negations(one: str, other: str) -> None:
    if standard_form(one) == standard_form(other):
        assert essentials(one)[:2] == essentials(other)[:2]


@given(st.text(alphabet="ab 5½²!.?-nN'tT", max_size=8), st.text(alphabet="ab 5½²!.?-nN'tT", max_size=8))
def test_the_same_of_texts_that_are_nearly_alike(one: str, other: str) -> None:
    if standard_form(one) == standard_form(other):
        assert essentials(one)[:2] == essentials(other)[:2]


@given(st.text(max_size=40))
def test_the_form_of_a_form_is_itself(text: str) -> None:
    assert standard_form(standard_form(text)) == standard_form(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pay 100 EUR", "pay 1000 EUR"),
        ("my card works", "my card does not work"),
        ("I can pay", "I can’t pay"),  # as phones type it
        ("I can't verify it", "I won't verify it"),
        ("Was I charged once?", "Was I charged twice?"),
        ("is it open on Monday", "is it open on Friday"),
        ('what is "alpha"', 'what is "beta"'),
        ("flights to Rome", "flights to Paris"),
    ],
)
def test_numbers_negations_and_names_make_two_questions_of_it(one: str, other: str) -> None:
    assert essentials(one) != essentials(other)


def test_a_negation_is_the_same_however_it_is_written() -> None:
    assert essentials("I can't pay") == essentials("I cannot pay") == essentials("we can not pay")
    assert essentials("it doesn't work") == essentials("it does not work") != essentials("it will not work")


def test_the_rest_of_the_words_is_no_matter() -> None:
    assert essentials("How do I reset the PIN of my card?") == essentials("how can I get a new PIN for it")


USER = st.one_of(st.none(), st.text(min_size=1, max_size=8))


@given(USER, USER, st.sampled_from(["main", "other"]), st.text(max_size=20), st.text(max_size=20))
def test_no_key_is_shared_across_users(mine: str | None, yours: str | None, tenant: str, one: str, other: str) -> None:
    """Whatever is asked; neither the key of an answer, nor the group among which what means the same is looked for."""
    first = Question(one, "a", "1", "", "main", mine)
    second = Question(other, "a", "1", "", tenant, yours)
    if (mine, "main") != (yours, tenant):
        assert first.key != second.key
        assert first.group != second.group
    assert first.key != first.group


@pytest.mark.parametrize("change", [{"agent": "b"}, {"version": "2"}, {"tier": "large"}, {"text": "what"}])
def test_the_key_changes_with_what_the_answer_depends_on(change: dict[str, str]) -> None:
    one = Question("why", "a", "1", "small", "main", "ann")
    other = dataclasses.replace(one, **change)  # type: ignore[arg-type]  # names of its texts
    assert one.key != other.key
    assert one.key.partition(".")[0] == cache_key([], tenant="main", user="ann").partition(".")[0]
