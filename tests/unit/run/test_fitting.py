"""The tools that fit a question: by their words, in a fixed order, those in use first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts.dialog import ToolSpec
from trunkline.run.fitting import fitting


def tool(name: str, description: str = "", **parameters: str) -> ToolSpec:
    properties = {each: {"type": "string", "description": about} for each, about in parameters.items()}
    return ToolSpec(name=name, description=description, parameters={"type": "object", "properties": properties})


SHOP = [
    tool("invoices.find", "Find a customer's invoices."),
    tool("refundPayment", "Give money back."),
    tool("parcel_track", "Where a parcel is.", number="the number on the label"),
    tool("weather.now", "What the sky is like."),
    tool("notes.add", "Write something down."),
]
SAID = ["invoice", "parcel", "money", "refund", "weather", "the", "a", "is", "number", "zzz"]
WORDS = st.lists(st.sampled_from(SAID), max_size=8).map(" ".join)


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Show me my invoices, please", "invoices.find"),
        ("I want a refund!", "refundPayment"),
        ("How can I pay? Payments fail.", "refundPayment"),
        ("Where is my parcel?", "parcel_track"),
        ("It says so on the label", "parcel_track"),
        ("Is it raining? The WEATHER?", "weather.now"),
    ],
)
def test_the_one_that_the_question_is_about_is_among_them(question: str, name: str) -> None:
    assert fitting(SHOP, [(question, 1.0)], 1) == (name,)


def test_the_last_exchange_counts_less_than_the_question() -> None:
    texts = [("and the refund?", 1.0), ("Where is my parcel? On its way.", 0.5)]
    assert fitting(SHOP, texts, 1) == ("refundPayment",)
    assert fitting(SHOP, texts, 2) == ("refundPayment", "parcel_track")


def test_those_in_use_stay_and_the_rest_is_filled_in_order() -> None:
    assert fitting(SHOP, [("hello", 1.0)], 3, used=["notes.add"]) == ("invoices.find", "refundPayment", "notes.add")


@given(st.lists(WORDS, min_size=1, max_size=40, unique=True), WORDS, st.integers(1, 50))
def test_as_many_as_asked_for_in_the_order_given_and_the_same_each_time(
    descriptions: list[str], question: str, most: int
) -> None:
    tools = [tool(f"t{number}", about) for number, about in enumerate(descriptions)]
    found = fitting(tools, [(question, 1.0)], most)
    assert len(found) == min(most, len(tools))
    assert list(found) == [each.name for each in tools if each.name in found]
    assert found == fitting(tools, [(question, 1.0)], most)


def test_a_schema_that_is_none_is_no_reason_to_fail() -> None:
    odd = ToolSpec(name="odd", parameters={"properties": ["not", "an", "object"]})
    assert fitting([odd, SHOP[0]], [("invoice", 1.0)], 1) == ("invoices.find",)
