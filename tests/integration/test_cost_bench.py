"""The benchmark of cost, small: it runs, and its sums are those of the log and of the provider, to the picodollar."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import cost
from bench.cost_assumed import Assumed, Models, Opinions, Variant, variants
from bench.cost_bank import DESKS, desk_of
from bench.cost_books import RunBook
from bench.cost_model import Quality, StandIn
from bench.cost_plot import plot
from bench.cost_report import Result, as_json, show
from bench.cost_reuse import FATES, Given, reuse
from bench.cost_sides import Answered
from bench.cost_stream import Asked, drawn
from bench.interval import interval
from bench.router_data import Unusable
from trunkline.contracts.dialog import ModelQuery, UserMessage
from trunkline.contracts.messages import Answer
from trunkline.prices import Money
from trunkline.run.tiers import JUDGE
from trunkline_router.classifiers.classify import RouteCard
from trunkline_router.deciding.hosted import question_for

INTENTS = {
    "card_arrival": "Where is my new card number {}?",
    "exchange_rate": "What is the rate for {} euros in dollars?",
    "failed_transfer": "Why did my transfer {} to a friend fail?",
}
MODELS = Models(cost.SMALL_MODEL, cost.LARGE_MODEL)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Thirty questions of each intent."""
    for name, numbers in (("train", range(20)), ("test", range(20, 30))):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("text", "category"))
            rows.writerows((text.format(number), intent) for intent, text in INTENTS.items() for number in numbers)
    return tmp_path


async def measured(data: Path, told: Assumed, *, repeat: float) -> Result:
    texts = cost.read(data, seed=1)
    asked: list[None] = []
    result = await cost.measure(
        Variant("a small one", told, repeat),
        texts,
        questions=40,
        seed=1,
        folder=data / "platform",
        progress=lambda: asked.append(None),
    )
    assert len(asked) == 80, "each question is asked of both sides, and progress says so"
    return result


async def test_what_the_log_says_was_paid_is_what_the_provider_charged(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_ROUTER_CONFIDENT", "1")
    told = Assumed(str(data), MODELS, Opinions(share=0.5), check=0.9)
    result = await measured(data, told, repeat=0.5)
    found = result.found
    assert found.platform.cost == result.charged == result.told
    assert found.classified > 0
    assert found.noted["cascade"].pico == -result.routing.pico < 0
    assert 0 < found.escalated < found.checked
    assert found.platform.answered == found.baseline.answered == 40
    explained = sum(money.pico for money in found.levers.values()) + found.rest.pico
    assert explained == found.baseline.cost.pico - found.platform.cost.pico
    assert found.course[-1] == (float(found.platform.cost.dollars), float(found.baseline.cost.dollars))
    document = json.loads(as_json([result]))["results"][0]
    assert document["platform"]["cost"] == str(found.platform.cost)
    assert document["from_cache"]["answer_cache"]["answers"] == result.reuse.answers > 0
    assert sum(document["asked_before"].values()) == sum(each.kind != "new" for each in result.stream.asked)
    show([result, result])
    said = " ".join(capsys.readouterr().out.split())
    assert "seed 1," in said
    assert "notices 90% of the wrong ones" in said
    assert "with 95% confidence 0.00% to" in said
    assert "the right desk for 90% of those questions" in said
    plot(found, 0.5, data / "plot.svg")
    assert ET.parse(data / "plot.svg").getroot().tag.endswith("svg")


async def test_what_is_switched_off_is_not_paid(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_ROUTER_CONFIDENT", "1")
    told = Assumed(str(data), MODELS, Opinions(share=0.0), check=0.0, cascade=0.0)
    result = await measured(data, told, repeat=0.0)
    found = result.found
    assert (found.classified, found.checked, result.routing) == (0, 0, Money())
    assert found.platform.cost == result.charged == result.told


async def test_the_small_model_routes_and_judges_as_well_as_is_said(data: Path) -> None:
    texts = cost.read(data, seed=1)
    stream = drawn(texts.asked, 60, 0.0, 1)
    cards = [RouteCard(desk, "A desk", ("An example: of many",)) for desk in DESKS]

    async def said(quality: Quality, query: ModelQuery) -> str:
        return (await StandIn(stream, MODELS, quality).complete(query, lambda _: None)).text

    for asked in stream.asked:
        routing = question_for(MODELS.small, asked.text, cards)
        assert await said(Quality(routes=1.0), routing) == desk_of(asked.intent)
        assert await said(Quality(routes=0.0), routing) in set(DESKS) - {desk_of(asked.intent)}
        judging = {
            label: ModelQuery(
                model=MODELS.small,
                instructions=JUDGE,
                messages=(UserMessage(json.dumps({"question": asked.text, "answer": f"[{label}] So it is."})),),
            )
            for label in (asked.intent, "something_else")
        }
        assert await said(Quality(notices=1.0), judging["something_else"]) == "no"
        assert await said(Quality(notices=0.0), judging["something_else"]) == "yes"
        assert await said(Quality(notices=1.0), judging[asked.intent]) == await said(
            Quality(notices=0.0), judging[asked.intent]
        )


async def test_a_prompt_begins_in_the_providers_cache_however_much_later_ones_came_before_it(data: Path) -> None:
    texts = cost.read(data, seed=1)
    model = StandIn(drawn(texts.asked, 60, 0.0, 1), MODELS)

    async def cached(text: str, at: float) -> int:
        model.at[text] = at
        query = ModelQuery(model=MODELS.large, instructions="Be brief. " * 600, messages=(UserMessage(text),))
        return (await model.complete(query, lambda _: None)).usage.cache_read_tokens

    assert await cached("first", 0) == 0
    assert await cached("much later", 10_000) == 0
    assert await cached("soon after the first", 200) == 1408


def answered(number: int, text: str, *, repeats: str = "", intent: str = "exchange_rate", turn: int = 0) -> Answered:
    """By the run of that number."""
    asked = Asked(number, 0.0, "ada", number, turn, text, intent, "new", repeats, paraphrase=False)
    return Answered(asked, f"[{intent}] So it is.", run=f"run-{number}")


def a_book(agent: str = "exchange", tier: str = "small", *, of: str = "", rejected: bool = False) -> RunBook:
    savings: list[Mapping[str, object]] = [{"lever": "answer_cache", "of": of}] if of else []
    return RunBook(Answer(agent=agent, text="It is."), tier=tier, savings=savings, rejected=rejected)


def test_what_became_of_each_question_that_had_been_asked_before() -> None:
    again = partial(answered, repeats="A rate?")
    personal = partial(answered, text="Why?", intent="failed_transfer")
    ours = [
        (answered(0, "A rate?"), a_book(rejected=True)),
        (again(1, "a rate"), a_book(of="run-0")),
        (again(2, "A rate?", turn=1), a_book()),
        (again(3, "A rtae?"), a_book()),
        (again(4, "A rate?"), a_book("cash")),
        (again(5, "A rate?"), a_book(tier="large")),
        (again(6, "A rate?"), a_book()),
        (personal(7), a_book("transfers")),
        (personal(8, repeats="Why?"), a_book("transfers")),
        (answered(9, "Which?", turn=1), a_book()),
        (answered(10, "Which?", repeats="Which?"), a_book()),
        (answered(11, "Whose?"), a_book()),
        (answered(12, "Whose?", repeats="Whose?"), a_book()),
        (answered(13, "A rate?", repeats="A rate?", intent="card_arrival"), a_book(of="run-0")),
    ]
    found = reuse([each for each, _ in ours], {each.run: book for each, book in ours})
    assert found.fates == {**dict.fromkeys(FATES, 1), "served": 2}
    assert found.given["answer_cache"] == Given(answers=2, wrong=1, inherited=0)
    assert found.answers == 2


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 107, 0.0, 0.0347), (0, 764, 0.0, 0.005), (1, 10, 0.0179, 0.4042), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_a_share_lies_within_its_interval(hits: int, of: int, low: float, high: float) -> None:
    """The third and fourth are those of the textbooks."""
    assert interval(hits, of) == pytest.approx((low, high), abs=1e-4)


def test_each_variant_leaves_something_out_and_none_comes_twice(data: Path) -> None:
    told = Assumed(str(data), MODELS, Opinions())
    found = variants(told, 0.45)
    assert found[0][1:] == (told, 0.45)
    assert len({each[1:] for each in found}) == len(found) == 7
    bare = Assumed(str(data), MODELS, Opinions(), check=0.0, cascade=0.0)
    assert [each.name for each in variants(bare, 0.0)] == [
        "as configured",
        "with answers to questions alike",
        "without the small tier",
    ]


def test_the_same_seed_gives_the_same_questions_and_no_repeats_when_none_are_wanted(data: Path) -> None:
    texts = cost.read(data, seed=1)
    one, again, other = (drawn(texts.asked, 60, 0.0, seed) for seed in (1, 1, 2))
    assert one.asked == again.asked != other.asked
    assert len({each.text for each in one.asked}) == 60
    assert {each.kind for each in one.asked} == {"new"}
    taught = {text for few in texts.taught.values() for text in few}
    assert not taught & {each.text for each in one.asked}


async def test_too_few_questions_are_said_before_anything_is_asked(data: Path) -> None:
    variant = Variant("too much", Assumed(str(data), MODELS, Opinions()), 0.5)
    texts = cost.read(data, seed=1)
    with pytest.raises(Unusable, match=r"has 78 questions to ask, not 1,000"):
        await cost.measure(variant, texts, questions=1_000, seed=1, folder=data / "platform", progress=lambda: None)


def test_an_intent_with_too_few_questions_is_named(data: Path) -> None:
    with (data / "test.csv").open("a") as file:
        file.write("Hello?,greeting\n")
    with pytest.raises(Unusable, match=r"at most 4 questions of greeting"):
        cost.read(data, seed=1)


@pytest.mark.parametrize("given", [["--repeat", "1"], ["--questions", "3"], ["--plot", "a.png"], ["--cascade", "x"]])
def test_what_cannot_be_measured_is_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cost.arguments(given)
    assert given[1] in capsys.readouterr().err
