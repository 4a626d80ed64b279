"""By meaning: a few examples of each agent are enough, doubt is said in numbers, and what is nobody's is seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
from structlog.testing import capture_logs

from tests.unit.router.desk import AGENTS, NOBODY, routes
from trunkline_router.classifiers.classify import RouteCard
from trunkline_router.classifiers.encoder import SentenceEncoder
from trunkline_router.classifiers.few_shot import FewShotClassifier
from trunkline_router.classifiers.weights import Tensor

ASKED = [(question, name) for name, (_, _, questions) in AGENTS.items() for question in questions]


class Counting(SentenceEncoder):
    """Remembers what it was asked to embed."""

    asked: list[str]

    def embed(self, texts: Sequence[str]) -> Tensor:
        self.asked = [*getattr(self, "asked", ()), *texts]
        return super().embed(texts)


@pytest.fixture(scope="module")
def desk(encoder: SentenceEncoder) -> FewShotClassifier:
    fitted = FewShotClassifier(encoder)
    fitted.fit(routes())
    return fitted


def test_questions_go_to_their_agents(desk: FewShotClassifier) -> None:
    """Four examples each; nine agents. By words alone it is not half of them."""
    assert mean(desk.classify(question).label == name for question, name in ASKED) > 0.85


def test_confidence_is_the_chance_of_being_right(desk: FewShotClassifier) -> None:
    verdicts = [(desk.classify(question), name) for question, name in ASKED]
    assert mean(each.confidence for each, _ in verdicts) == pytest.approx(
        mean(each.label == name for each, name in verdicts), abs=0.2
    )
    assert all(each.source == "embedding" and 0 <= sum(each.scores.values()) <= 1 for each, _ in verdicts)


def test_what_is_nobodys_gets_no_confidence(desk: FewShotClassifier) -> None:
    asked = mean(desk.classify(question).confidence for question, _ in ASKED)
    assert mean(desk.classify(question).confidence for question in NOBODY) < asked / 2
    assert mean(desk.classify(question).confidence < 0.5 for question in NOBODY) >= 0.8


def test_of_what_agents_are_asked_nearly_all_is_let_in(desk: FewShotClassifier) -> None:
    assert mean(desk.classify(question).label != "" for question, _ in ASKED) >= 0.9


def test_an_example_itself_is_certain(desk: FewShotClassifier) -> None:
    verdict = desk.classify("Where is my parcel?")
    assert verdict.label == "shipping"
    assert verdict.confidence > 0.9


def test_a_script_that_the_encoder_cannot_read_is_known_by_its_spelling(encoder: SentenceEncoder) -> None:
    """In Amharic every word is one and the same unknown piece."""
    bill, parcel = "\u12e8\u12a2\u1295\u126e\u12ed\u1235", "\u1325\u1245\u120d"
    where, much = "\u12e8\u1275", "\u1235\u1295\u1275"
    classifier = FewShotClassifier(encoder)
    classifier.fit(
        [RouteCard("billing", "", (f"{much} {bill}", bill)), RouteCard("shipping", "", (f"{where} {parcel}", parcel))]
    )
    first, second = encoder.embed([bill, parcel])
    np.testing.assert_allclose(first, second, atol=1e-5)
    assert [classifier.classify(f"{word} {word}").label for word in (bill, parcel)] == ["billing", "shipping"]


def test_descriptions_alone_are_enough_to_begin_with(encoder: SentenceEncoder) -> None:
    classifier = FewShotClassifier(encoder)
    classifier.fit([RouteCard(name, AGENTS[name][0]) for name in ("billing", "weather", "developer")])
    assert classifier.classify("Will it rain in Paris?").label == "weather"


def test_a_lonely_agent_is_not_asked_everything(encoder: SentenceEncoder) -> None:
    classifier = FewShotClassifier(encoder)
    classifier.fit(routes("weather"))
    assert classifier.classify("Is it cold in Bergen?").label == "weather"
    assert classifier.classify("Should I buy shares or bonds?").label == ""


@pytest.mark.parametrize("known", [[], [RouteCard("silent", "")]])
def test_without_routes_there_is_no_label(encoder: SentenceEncoder, known: list[RouteCard]) -> None:
    classifier = FewShotClassifier(encoder)
    classifier.fit(routes())
    classifier.fit(known)
    assert classifier.classify("hello").label == ""
    assert classifier.classify("hello").scores == {}


def test_fitting_again_forgets_the_former_routes(encoder: SentenceEncoder) -> None:
    classifier = FewShotClassifier(encoder)
    classifier.fit(routes())
    classifier.fit(routes("billing", "travel"))
    assert set(classifier.classify("where is my parcel").scores) == {"billing", "travel"}


def test_only_what_is_new_is_embedded(weights: Path) -> None:
    encoder = Counting.load(weights)
    classifier = FewShotClassifier(encoder)
    classifier.fit(routes("billing", "travel"))
    encoder.asked = []
    changed = RouteCard("travel", *AGENTS["travel"][:1], (*AGENTS["travel"][1], "Rent me a car"))
    classifier.fit([*routes("billing"), changed])
    assert encoder.asked == ["Rent me a car"]
    classifier.fit(routes("travel"))
    encoder.asked = []
    classifier.fit(routes("billing"))
    assert len(encoder.asked) == 5


def test_too_many_examples_are_thinned_evenly_and_it_is_said(weights: Path) -> None:
    encoder = Counting.load(weights)
    classifier = FewShotClassifier(encoder, most_examples=6)
    with capture_logs() as logs:
        classifier.fit(routes("billing", "travel"))
    assert [(each["action"], each["learnt_of_each"], each["examples"]) for each in logs] == [
        ("examples_left_out", 2, 10)
    ]
    assert encoder.asked == [text for name in ("billing", "travel") for text in (AGENTS[name][0], *AGENTS[name][1][:2])]


def test_scores_are_the_same_however_the_routes_are_ordered(encoder: SentenceEncoder) -> None:
    one, other = FewShotClassifier(encoder), FewShotClassifier(encoder)
    one.fit(routes())
    other.fit(routes()[::-1])
    for question in ("refund my ticket", "move my meeting", "hello"):
        first, second = one.classify(question), other.classify(question)
        assert first.label == second.label
        np.testing.assert_allclose(
            [second.scores[name] for name in first.scores], list(first.scores.values()), atol=1e-3
        )
