"""What the wording alone says: small talk, what leans on something said before, several questions in one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.router.dialogues import BEGINNINGS
from trunkline_router.deciding.phrasing import asks, content, kind_of, leans, questions


@pytest.mark.parametrize(
    "text", [*BEGINNINGS, "Thanks a lot, that helps!", "ja, genau", "no thanks", "OK, mach das so"]
)
def test_small_talk_is_seen(text: str) -> None:
    assert kind_of(text) == "small_talk"


@pytest.mark.parametrize(
    "text",
    ["why?", "and for last month?", "what about the other one", "1042", "und für Juli?", "…", "How long will it take?"],
)
def test_what_says_nothing_by_itself_is_bare(text: str) -> None:
    assert kind_of(text) == "bare"


@pytest.mark.parametrize(
    "text", ["and in blue?", "Anna Schmidt", "ok, and the blue one?", "is it refundable?", "line 42"]
)
def test_what_is_worded_as_if_it_went_on_leans(text: str) -> None:
    assert kind_of(text) == "leaning"


@pytest.mark.parametrize(
    "text",
    [
        "Where is my parcel?",
        "Hello, where is my parcel?",
        "Wo ist mein Paket?",
        "Why was I charged twice?",
        "thanks for nothing, I want my money back and I want to speak to your manager today",
    ],
)
def test_a_question_is_one_however_politely_it_begins(text: str) -> None:
    assert kind_of(text) == "question"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "Where is my parcel 12, and I want a refund for invoice 7",
            ["Where is my parcel 12", "I want a refund for invoice 7"],
        ),
        ("Hello. Where is my parcel? Do you sell lamps?", ["Hello. Where is my parcel?", "Do you sell lamps?"]),
        ("Wo ist mein Paket und ich möchte mein Geld zurück", ["Wo ist mein Paket", "ich möchte mein Geld zurück"]),
        (
            "I moved. Where is my parcel? It was due in May.\nBook a hotel",
            ["I moved. Where is my parcel? It was due in May.", "Book a hotel"],
        ),
        ("What does the lamp cost; is the sofa in stock?", ["What does the lamp cost", "is the sofa in stock?"]),
        ("My card was stolen. What should I do?", ["My card was stolen. What should I do?"]),
        ("Do you sell tables and chairs?", ["Do you sell tables and chairs?"]),
        ("When I paid, I was charged extra. Why is that?", ["When I paid, I was charged extra. Why is that?"]),
        ("", []),
        (" and ", []),
    ],
)
def test_a_text_is_cut_before_each_question_of_its_own(text: str, found: list[str]) -> None:
    """Statements stay with the question before them, or with the first one."""
    assert questions(text) == found


@pytest.mark.parametrize("text", ["how much was it?", "when will they come?", "why is that so?", "and for how long"])
def test_a_pronoun_cannot_be_torn_off(text: str) -> None:
    assert leans(text)


def test_a_wish_asks_and_a_statement_does_not() -> None:
    assert asks("please cancel order 7")
    assert asks("und ich brauche eine Rechnung")
    assert not asks("my card was stolen")
    assert content("and where is my blue parcel 12 now?") == ["blue", "parcel"]


@given(st.text(max_size=300))
def test_whatever_is_typed_no_letter_is_lost_or_made_up(text: str) -> None:
    """Only connectives at the beginning of a question, and marks beside them, may be left out."""
    found = questions(text)
    rest = text
    for each in found:
        assert each in rest
        rest = rest[rest.index(each) + len(each) :]
    assert kind_of(text) in ("small_talk", "bare", "leaning", "question")
