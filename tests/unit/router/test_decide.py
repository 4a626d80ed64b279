"""The cascade: the cheapest rule that can decide, decides."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.unit.router.desk import AGENTS as DESK
from tests.unit.router.dialogues import ANYBODY, BEGINNINGS, LATER, STAY, SWITCH, Next
from tests.unit.router.test_routes import Listed
from trunkline.contracts.messages import Request
from trunkline.contracts.registry import TOGETHER, AgentCard
from trunkline_router.classifiers.classify import RouteCard, Verdict
from trunkline_router.classifiers.encoder import SentenceEncoder
from trunkline_router.classifiers.few_shot import FewShotClassifier
from trunkline_router.classifiers.lexical import LexicalClassifier
from trunkline_router.deciding.decide import Ask, Dispatch, decide
from trunkline_router.deciding.routes import Routes
from trunkline_router.settings import RouterSettings

GENERALIST = AgentCard(
    agent=ANYBODY, worker="w", description="Everything else", examples=("Who are you?",), generalist=True
)
HIDDEN = AgentCard(
    agent="secret", worker="w", description="Where parcels are", examples=("Where is my parcel?",), hidden=True
)
JOINER = AgentCard(agent=TOGETHER, worker="w", hidden=True)
SETTINGS = RouterSettings()


def card(name: str) -> AgentCard:
    return AgentCard(agent=name, worker="w", description=DESK[name][0], examples=DESK[name][1])


class Never(LexicalClassifier):
    """Must not be asked."""

    def classify(self, question: str) -> Verdict:
        raise AssertionError(f"{question!r} was classified")


class Says(LexicalClassifier):
    """Always the same."""

    def __init__(self, label: str, confidence: float, **scores: float) -> None:
        super().__init__()
        self.verdict = Verdict(label, confidence, "fixed", {**scores, label: confidence} if label else scores)

    def classify(self, question: str) -> Verdict:
        return self.verdict


async def learnt(classifier: LexicalClassifier | FewShotClassifier, *cards: AgentCard) -> Routes:
    routes = Routes(Listed(*cards), classifier)
    async with routes.learning():
        return routes


async def decided(
    routes: Routes, text: str, *, agent: str = "", partner: str = "", ask: Ask | None = None, model: str = ""
) -> Dispatch:
    settings = RouterSettings(router_model=model) if model else SETTINGS
    return await decide(Request(text=text, agent=agent), routes, settings, partner=partner, ask=ask)


DESK_CARDS = (card("billing"), card("shipping"))


async def test_an_agents_own_example_needs_no_classifier() -> None:
    routes = await learnt(Never(), *DESK_CARDS, GENERALIST)
    found = await decided(routes, " where is my PARCEL ?! ")
    assert (found.agent, found.route.source, found.route.confidence) == ("shipping", "example", 1.0)
    assert (await decided(routes, "Who are you?")).agent == ANYBODY


async def test_an_example_that_two_agents_claim_is_classified() -> None:
    other = AgentCard(agent="post", worker="w", examples=("Where is my parcel?",))
    routes = await learnt(Says("post", 0.8), *DESK_CARDS, other)
    assert (await decided(routes, "Where is my parcel?")).route.source == "fixed"


async def test_a_hidden_agent_gets_only_what_names_it() -> None:
    """It is nobody's choice, not the only agent, and no refusal speaks of it."""
    routes = await learnt(LexicalClassifier(), HIDDEN)
    alone = await decided(routes, "Where is my parcel?")
    assert alone.refusal
    assert alone.refusal.message == "No agent is running, so nobody can answer."
    assert (await decided(routes, "anything", agent="secret")).agent == "secret"
    routes = await learnt(LexicalClassifier(), HIDDEN, card("billing"))
    assert (await decided(routes, "Where is my parcel?")).route.source == "only_agent"
    routes = await learnt(LexicalClassifier(), HIDDEN, *DESK_CARDS)
    assert (await decided(routes, "Where is my parcel?")).agent == "shipping"
    for refused in (await decided(routes, "zebra"), await decided(routes, "zebra", agent="nobody")):
        assert refused.refusal
        assert "billing, shipping" in refused.refusal.hint
        assert "secret" not in refused.refusal.hint


@pytest.mark.parametrize("text", BEGINNINGS)
async def test_a_conversation_that_begins_with_small_talk_is_the_generalists(text: str) -> None:
    routes = await learnt(Says("billing", 0.99), *DESK_CARDS, GENERALIST)
    found = await decided(routes, text)
    assert (found.agent, found.route.source) == (ANYBODY, "greeting")


async def test_without_a_generalist_small_talk_is_classified() -> None:
    routes = await learnt(LexicalClassifier(), *DESK_CARDS)
    refused = await decided(routes, "hello")
    assert refused.refusal
    assert refused.refusal.code == "nobody_fits"


@pytest.mark.parametrize("text", ["Thanks!", "Guten Morgen", "and for last month?", "why?", "7"])
async def test_what_needs_the_conversation_stays_with_its_agent(text: str) -> None:
    routes = await learnt(Never(), *DESK_CARDS, GENERALIST)
    found = await decided(routes, text, partner="billing")
    assert (found.agent, found.route.source) == ("billing", "conversation")


async def test_whom_the_conversation_was_with_is_no_matter_when_he_has_left() -> None:
    routes = await learnt(LexicalClassifier(), *DESK_CARDS, GENERALIST)
    assert (await decided(routes, "Thanks!", partner="gone")).agent == ANYBODY
    assert (await decided(routes, "my money back", partner="gone")).agent == "billing"


@pytest.mark.parametrize(
    ("text", "sure", "share", "agent"),
    [
        ("Do you know the courier", 0.5, 0.42, "shipping"),
        ("Do you know the courier", 0.5, 0.38, "billing"),
        ("and the courier?", 0.85, 0.1, "shipping"),
        ("and the courier?", 0.95, 0.1, "billing"),
    ],
)
async def test_another_agent_must_be_clearly_better(text: str, sure: float, share: float, agent: str) -> None:
    """The more so when the question is worded as if it went on. `share`: the present agent's."""
    routes = await learnt(Says("billing", sure, shipping=share), *DESK_CARDS, GENERALIST)
    assert (await decided(routes, text, partner="shipping")).agent == agent
    assert (await decided(routes, text)).agent == "billing"


async def test_what_nobody_is_sure_of_stays_where_the_conversation_is() -> None:
    routes = await learnt(Says("billing", 0.2, shipping=0.19), *DESK_CARDS, GENERALIST)
    assert (await decided(routes, "Do you know the courier", partner="shipping")).agent == "shipping"
    assert (await decided(routes, "Do you know the courier")).agent == ANYBODY


class Asked:
    """The hosted model's part; `verdict` is what it says."""

    def __init__(self, verdict: Verdict | None) -> None:
        self.verdict = verdict
        self.questions: list[str] = []

    async def __call__(self, question: str, verdict: Verdict) -> Verdict | None:
        self.questions.append(question)
        return self.verdict


@pytest.mark.parametrize(("confidence", "asked"), [(0.49, 1), (0.5, 0)])
async def test_below_the_threshold_the_hosted_model_is_asked(confidence: float, asked: int) -> None:
    ask = Asked(Verdict("shipping", 0.9, "model:m"))
    routes = await learnt(Says("billing", confidence), *DESK_CARDS, GENERALIST)
    found = await decided(routes, "Do you know the courier", ask=ask, model="small")
    assert len(ask.questions) == asked
    assert found.route.source == ("model:m" if asked else "fixed")
    assert found.agent == ("shipping" if asked else "billing")


@pytest.mark.parametrize(("generalist", "asked"), [((GENERALIST,), 0), ((), 1)])
async def test_what_is_out_of_scope_is_shown_to_it_only_where_no_generalist_is(
    generalist: Sequence[AgentCard], asked: int
) -> None:
    ask = Asked(Verdict("", 0.9, "model:m"))
    routes = await learnt(Says("", 0.0), *DESK_CARDS, *generalist)
    found = await decided(routes, "Do zebras dream", ask=ask, model="small")
    assert len(ask.questions) == asked
    assert found.agent == ANYBODY if generalist else found.refusal


@pytest.mark.parametrize(("confidence", "agent"), [(0.4, "billing"), (0.2, ANYBODY)])
async def test_when_it_says_nothing_the_router_is_as_sure_as_without_it(confidence: float, agent: str) -> None:
    routes = await learnt(Says("billing", confidence), *DESK_CARDS, GENERALIST)
    found = await decided(routes, "Do you know the courier", ask=Asked(None), model="small")
    assert found.agent == agent


BOTH = "Where is my parcel 12, and I want my money back for invoice 7"


async def test_questions_for_two_agents_are_two(encoder: SentenceEncoder) -> None:
    routes = await learnt(FewShotClassifier(encoder), *map(card, DESK), GENERALIST, JOINER)
    found = await decided(routes, BOTH)
    assert (found.agent, found.route.source) == (TOGETHER, "several")
    assert [(part.agent, part.text) for part in found.parts] == [
        ("shipping", "Where is my parcel 12"),
        ("billing", "I want my money back for invoice 7"),
    ]
    assert set(found.route.scores) == {"shipping", "billing"}
    assert found.route.confidence == pytest.approx(min(found.route.scores.values()), abs=1e-3)


@pytest.mark.parametrize(
    "text",
    [
        "Where is my parcel 12 and how much was it?",
        "Where is my parcel? When will my order arrive?",
        "Where is my parcel? Who wrote War and Peace?",
        "I want my money back and why?",
        "Do you sell tables and chairs?",
        "The chair arrived broken. What should I do?",
    ],
)
async def test_whatever_is_in_doubt_stays_one_question(encoder: SentenceEncoder, text: str) -> None:
    routes = await learnt(FewShotClassifier(encoder), *map(card, DESK), GENERALIST, JOINER)
    found = await decided(routes, text)
    assert found.agent != TOGETHER
    assert found.parts == ()


@pytest.mark.parametrize("cards", [(), (AgentCard(agent=TOGETHER, worker="w", examples=("both",)),)])
async def test_nothing_is_split_where_nobody_can_put_the_answers_together(
    encoder: SentenceEncoder, cards: Sequence[AgentCard]
) -> None:
    """Nobody of that name, or somebody else's agent that happens to be named so."""
    routes = await learnt(FewShotClassifier(encoder), *map(card, DESK), GENERALIST, *cards)
    assert (await decided(routes, BOTH)).parts == ()


class ByWord(LexicalClassifier):
    """As sure of every question."""

    def __init__(self, sure: float = 0.9) -> None:
        super().__init__()
        self.sure = sure

    def fit(self, routes: Sequence[RouteCard]) -> None: ...

    def classify(self, question: str) -> Verdict:
        return Verdict("shipping" if "parcel" in question else "billing", self.sure, "word", {})


@pytest.mark.parametrize(
    ("text", "sure", "parts"),
    [
        ("Where is parcel seven? Send the invoice please.", 0.7, 2),
        ("Where is parcel seven? Send the invoice please.", 0.69, 0),
        ("Where is parcel seven and how much was it?", 0.9, 0),
        ("Where is parcel seven? Why refund?", 0.9, 0),
    ],
)
async def test_each_question_must_stand_by_itself_and_be_certain(text: str, sure: float, parts: int) -> None:
    routes = await learnt(ByWord(sure), *DESK_CARDS, JOINER)
    assert len((await decided(routes, text)).parts) == parts


async def test_more_than_four_questions_are_not_split() -> None:
    routes = await learnt(ByWord(), *DESK_CARDS, JOINER)
    asked = ["Where is parcel seven?", "Send the invoice please."] * 2
    assert len((await decided(routes, " ".join(asked))).parts) == 4
    assert (await decided(routes, " ".join([*asked, "Where is parcel nine?"]))).parts == ()


@pytest.mark.parametrize(
    ("dialogues", "right"), [(STAY, 1.0), (SWITCH, 0.85), (LATER, 0.84)], ids=["stay", "switch", "later"]
)
async def test_made_up_dialogues_go_to_the_right_agent(
    encoder: SentenceEncoder, dialogues: Sequence[Next], right: float
) -> None:
    routes = await learnt(FewShotClassifier(encoder), *map(card, DESK), GENERALIST)
    wrong = [each for each in dialogues if (await decided(routes, each.text, partner=each.partner)).agent != each.agent]
    assert 1 - len(wrong) / len(dialogues) >= right, wrong
