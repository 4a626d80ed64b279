"""The lexical classifier and the router's decision."""

from __future__ import annotations

import pytest

from trunkline_router.classifiers.classify import RouteCard
from trunkline_router.classifiers.lexical import LexicalClassifier

ROUTES = [
    RouteCard(
        "billing",
        "Invoices, refunds and payment methods",
        ("Why was I charged twice?", "I want my money back", "What is the status of invoice 1042?"),
    ),
    RouteCard("catalog", "Products and their prices", ("What does the lamp cost?", "Do you sell chairs?")),
    RouteCard("shipping", "Parcels, delivery and tracking", ("Where is my parcel?", "When will my order arrive?")),
]


@pytest.fixture
def classifier() -> LexicalClassifier:
    fitted = LexicalClassifier()
    fitted.fit(ROUTES)
    return fitted


@pytest.mark.parametrize(
    ("question", "label"),
    [
        ("I was charged two times for one invoice", "billing"),
        ("please refund my payment", "billing"),
        ("how much does a chair cost", "catalog"),
        ("has my parcel been delivered?", "shipping"),
        ("tracking of my delivery", "shipping"),
        ("refnd my payment pls", "billing"),
    ],
)
def test_a_question_goes_where_its_words_belong(classifier: LexicalClassifier, question: str, label: str) -> None:
    verdict = classifier.classify(question)
    assert verdict.label == label
    assert verdict.confidence > 0.3


def test_a_number_of_an_example_says_nothing() -> None:
    sums = LexicalClassifier()
    sums.fit([RouteCard("adder", "Adds numbers", ("Add 1 and 2",)), RouteCard("doubler", "Doubles", ("Double 7",))])
    assert sums.classify("Add 7 and 1000").label == "adder"
    assert sums.classify("Add 7 and 1000").confidence > 0.3


def test_an_example_itself_is_certain(classifier: LexicalClassifier) -> None:
    assert classifier.classify("Where is my parcel?").confidence > 0.9


@pytest.mark.parametrize("question", ["zzz qqq", "", "!!!", "the of and"])
def test_what_nobody_spoke_of_gets_no_confidence(classifier: LexicalClassifier, question: str) -> None:
    verdict = classifier.classify(question)
    assert verdict.label == ""
    assert verdict.confidence == 0.0


def test_fitting_again_forgets_the_former_routes(classifier: LexicalClassifier) -> None:
    classifier.fit(ROUTES[:1])
    assert set(classifier.classify("where is my parcel").scores) == {"billing"}


def test_without_routes_there_is_no_label() -> None:
    assert LexicalClassifier().classify("hello").label == ""
