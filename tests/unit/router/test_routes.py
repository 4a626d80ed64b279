"""What the registry says is learnt beside the work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from tests.conftest import wait_until
from trunkline.bus.roster import Roster
from trunkline.contracts.registry import AgentCard
from trunkline_router.classifiers.classify import RouteCard, Verdict
from trunkline_router.classifiers.known import normalised
from trunkline_router.classifiers.lexical import LexicalClassifier
from trunkline_router.deciding.routes import PATIENCE_SECONDS, SHORT, Routes
from trunkline_router.learning.lessons import Taught

BILLING = AgentCard(agent="billing", worker="1", description="Invoices and refunds", examples=("I want my money back",))
SHIPPING = AgentCard(agent="shipping", worker="1", description="Parcels", examples=("Where is my parcel?",))
ANYTHING = AgentCard(agent="anything", worker="1", description="Everything else", generalist=True)


class Listed(Roster[AgentCard]):
    """Says who is there by itself."""

    def __init__(self, *cards: AgentCard) -> None:
        super().__init__(AgentCard)
        self.cards: Sequence[AgentCard] = cards
        self.looks = 0

    def expected(self) -> list[AgentCard]:
        self.looks += 1
        return list(self.cards)

    def now(self, *cards: AgentCard) -> None:
        self.cards = cards
        self.changed.set()
        self.changed = asyncio.Event()


class Slow(LexicalClassifier):
    """Learns only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = threading.Event()
        self.learning = threading.Event()

    def fit(self, routes: Sequence[RouteCard]) -> None:
        self.learning.set()
        assert self.let.wait(20)
        super().fit(routes)


async def goes(routes: Routes, question: str, label: str) -> bool:
    return (await routes.classify(question)).label == label


async def scored(routes: Routes, question: str, labels: set[str]) -> bool:
    return set((await routes.classify(question)).scores) == labels


async def test_whoever_is_there_has_been_learnt_on_entering() -> None:
    routes = Routes(Listed(BILLING, SHIPPING, ANYTHING), LexicalClassifier())
    async with routes.learning():
        assert (await routes.classify("refund my money")).label == "billing"
        assert set((await routes.classify("parcel")).scores) == {"billing", "shipping"}


async def test_while_it_learns_the_old_answers_and_the_loop_goes_on() -> None:
    roster, slow = Listed(BILLING), Slow()
    routes = Routes(roster, slow)
    slow.let.set()
    async with routes.learning():
        slow.let.clear()
        slow.learning.clear()
        roster.now(BILLING, SHIPPING)
        await wait_until(slow.learning.is_set, "the learning began")
        await routes.settled()
        assert set((await routes.classify("where is my parcel")).scores) == {"billing"}
        slow.let.set()
        await wait_until(lambda: goes(routes, "where is my parcel", "shipping"), "it is learnt")


async def test_a_question_waits_for_what_is_new() -> None:
    roster = Listed(BILLING)
    routes = Routes(roster, LexicalClassifier())
    async with routes.learning():
        roster.now(BILLING, SHIPPING)
        await routes.settled()
        assert (await routes.classify("where is my parcel")).label == "shipping"


async def test_who_left_gets_nothing_even_before_that_is_learnt() -> None:
    roster = Listed(BILLING, SHIPPING)
    routes = Routes(roster, LexicalClassifier())
    async with routes.learning():
        roster.cards = [BILLING]
        verdict = await routes.classify("where is my parcel")
        assert (verdict.label, verdict.confidence) == ("", 0.0)


async def test_who_left_without_a_word_is_forgotten() -> None:
    roster = Listed(BILLING, SHIPPING)
    routes = Routes(roster, LexicalClassifier())
    async with routes.learning():
        roster.cards = [BILLING]
        await wait_until(lambda: scored(routes, "parcel", {"billing"}), "the clock was looked at")


async def test_what_does_not_change_is_not_learnt_again() -> None:
    """Another worker of the same agent, another order, a heartbeat."""
    roster, slow = Listed(BILLING, SHIPPING), Slow()
    slow.let.set()
    routes = Routes(roster, slow)
    async with routes.learning():
        slow.learning.clear()
        second = AgentCard(agent="billing", worker="2", description=BILLING.description, examples=BILLING.examples)
        roster.now(SHIPPING, second, BILLING)
        looked = roster.looks
        await wait_until(lambda: roster.looks > looked + 2, "it looked more than once")
        assert not slow.learning.is_set()


async def test_a_correction_is_one_more_example() -> None:
    routes = Routes(Listed(BILLING, SHIPPING), LexicalClassifier())
    async with routes.learning():
        assert (await routes.classify("customs paperwork")).label == ""
        routes.teach(Taught(examples={"shipping": ("Which customs paperwork do I need?",)}))
        await wait_until(lambda: bool(routes._studied.examples), "it is learnt")
        assert (await routes.classify("customs paperwork")).label == "shipping"


async def test_nobody_waits_for_lessons() -> None:
    slow = Slow()
    slow.let.set()
    routes = Routes(Listed(BILLING, SHIPPING), slow)
    async with routes.learning():
        slow.let.clear()
        slow.learning.clear()
        routes.teach(Taught(examples={"shipping": ("Which customs paperwork do I need?",)}))
        await wait_until(slow.learning.is_set, "the learning began")
        async with asyncio.timeout(PATIENCE_SECONDS / 2):
            await routes.settled()
        slow.let.set()


async def test_what_one_user_alone_says_is_learnt_but_not_taken_for_known() -> None:
    paperwork = "Which customs paperwork do I need?"
    routes = Routes(Listed(BILLING, SHIPPING), LexicalClassifier())
    async with routes.learning():
        for hearsay, known in ((frozenset({normalised(paperwork)}), False), (frozenset[str](), True)):
            taught = Taught(examples={"shipping": (paperwork,)}, hearsay=hearsay)
            routes.teach(taught)
            await wait_until(lambda taught=taught: routes._studied is taught, "it is learnt")  # type: ignore[misc]
            assert (await routes.classify(paperwork)).label == "shipping"
            assert (routes.known(paperwork) is not None) == known


async def test_what_one_user_alone_says_takes_no_example_from_its_author() -> None:
    example = BILLING.examples[0]
    routes = Routes(Listed(BILLING, SHIPPING), LexicalClassifier())
    async with routes.learning():
        for agent in ("shipping", "billing"):
            taught = Taught(examples={agent: (example,)}, hearsay=frozenset({normalised(example)}))
            routes.teach(taught)
            await wait_until(lambda taught=taught: routes._studied is taught, "it is learnt")  # type: ignore[misc]
            assert routes.known(example) == Verdict("billing", 1.0, "example")


async def test_learning_that_fails_is_said_and_tried_again() -> None:
    class Broken(LexicalClassifier):
        broken = False

        def fit(self, routes: Sequence[RouteCard]) -> None:
            if self.broken:
                raise RuntimeError("no memory")
            super().fit(routes)

    roster, broken = Listed(BILLING), Broken()
    routes = Routes(roster, broken)
    with capture_logs() as logs:
        async with routes.learning():
            broken.broken = True
            roster.now(BILLING, SHIPPING)
            await wait_until(lambda: any(each["action"] == "learning_failed" for each in logs), "it is said")
            assert (await routes.classify("my money back")).label == "billing"
            broken.broken = False
            await wait_until(lambda: goes(routes, "where is my parcel", "shipping"), "it is tried again")


@pytest.mark.parametrize("label", ["billing", "ghost"])
async def test_only_live_agents_are_named(label: str) -> None:
    class Fixed(LexicalClassifier):
        def classify(self, question: str) -> Verdict:
            return Verdict(label, 0.9, "fixed", {label: 0.9})

    verdict = await Routes(Listed(BILLING), Fixed()).classify("hello")
    assert verdict == Verdict(*(("billing", 0.9) if label == "billing" else ("", 0.0)), "fixed", {label: 0.9})


async def test_the_loop_goes_on_while_a_long_question_is_classified() -> None:
    class Long(LexicalClassifier):
        def __init__(self) -> None:
            super().__init__()
            self.let = threading.Event()
            self.asked = threading.Event()

        def classify(self, question: str) -> Verdict:
            if len(question) > SHORT:
                self.asked.set()
                assert self.let.wait(20)
            return super().classify(question)

    long = Long()
    routes = Routes(Listed(BILLING, SHIPPING), long)
    async with routes.learning():
        asking = asyncio.create_task(routes.classify("where is my parcel " * SHORT))
        await wait_until(long.asked.is_set, "the long question is looked at")
        assert (await routes.classify("refund my money")).label == "billing"
        assert not asking.done()
        long.let.set()
        assert (await asking).label == "shipping"


async def test_a_hidden_agent_is_not_learnt() -> None:
    hidden = AgentCard(agent="secret", worker="1", description="Parcels", examples=("parcel",), hidden=True)
    routes = Routes(Listed(BILLING, SHIPPING, hidden), LexicalClassifier())
    async with routes.learning():
        assert set((await routes.classify("parcel")).scores) == {"billing", "shipping"}
        assert set(routes.agents()) == {"billing", "shipping", "secret"}
        assert routes.known("parcel") is None
