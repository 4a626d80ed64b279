"""Questions that mean the same get one answer, if their agent wants that; how alike they must be is learnt."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

import numpy as np
import pytest

from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform
from tests.fundamentals.test_answer_cache import Desk, desk, saved
from trunkline import Agent, Client
from trunkline.bus import Bus, append
from trunkline.bus.roster import Roster
from trunkline.client import Reply
from trunkline.contracts.messages import Feedback
from trunkline.contracts.registry import AgentCard
from trunkline.contracts.subjects import RunKey
from trunkline_router.app import routing
from trunkline_router.classifiers.lexical import LexicalClassifier
from trunkline_router.classifiers.weights import Tensor
from trunkline_router.deciding.routes import Routes
from trunkline_router.settings import RouterSettings

ANGLES: Mapping[str, float] = {
    "lost my card": 0.0,
    "my card is lost": 0.1,
    "my card is gone": 0.2,
    "what time is it": 1.5,
}
"""Questions as points on a circle: the cosine of 0.1 is 0.995, that of 0.2 is 0.98."""


class Encoding(LexicalClassifier):
    """Knows what a few questions mean; a number in them makes no difference to it."""

    def embed(self, texts: Sequence[str]) -> Tensor:
        angles = [next(angle for known, angle in ANGLES.items() if text.startswith(known)) for text in texts]
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    def reads(self, text: str) -> bool:
        return text.isascii()


@contextlib.asynccontextmanager
async def meaning(bus: Bus, classifier: LexicalClassifier | None = None) -> AsyncIterator[Platform]:
    """A router that has an encoder."""
    routes = Routes(Roster(AgentCard), classifier or Encoding())
    async with routing(bus, routes, RouterSettings.model_validate({"nats_url": bus.url})):
        yield Platform(bus, Client(bus), routes)


@pytest.fixture
async def router(bus: Bus) -> AsyncIterator[Platform]:
    async with meaning(bus) as made:
        yield made


async def alike(at: Desk, text: str, user: str = "ann") -> Reply:
    """The answer, once it is an earlier one: questions are embedded beside the work."""
    found: list[Reply] = []

    async def again() -> bool:
        found[:] = [await at.ask(text, user)]
        kinds = [event.subject.kind for event in await at.events(found[0])]
        return kinds == ["request", "note", "answer"]

    await wait_until(again, f"an earlier answer to {text!r}")
    return found[0]


async def judge(at: Desk, reply: Reply, verdict: int, by: str = "ann") -> None:
    key = RunKey.checked(reply.run, reply.conversation)
    await append(at.platform.bus, key.step("feedback", "ledger"), Feedback(verdict=verdict, by=by))


async def test_a_question_that_means_the_same_gets_the_answer_of_the_earlier_one(router: Platform) -> None:
    async with desk(router, Agent("help", alike=True)) as at:
        first = await at.ask("lost my card")
        reply = await alike(at, "my card is lost")
        note = saved(await at.events(reply))
    assert (note["lever"], note["of"], note["agent"]) == ("alike_cache", first.run, "help")
    assert (note["similarity"], note["threshold"]) == (pytest.approx(0.995, abs=0.001), 0.95)


async def test_another_number_makes_it_another_question(router: Platform) -> None:
    async with desk(router, Agent("help", alike=True)) as at:
        await at.ask("lost my card 5 days ago")
        await alike(at, "my card is lost 5 days")
        await at.ask("my card is lost 6 days")
        assert len(at.model.asked) == 2


async def test_what_the_encoder_cannot_make_out_is_like_nothing(router: Platform) -> None:
    async with desk(router, Agent("help", alike=True)) as at:
        await at.ask("lost my card, äh")
        await at.ask("lost my card")
        await alike(at, "my card is lost")
        await at.ask("my card is lost, äh")
        assert len(at.model.asked) == 3


async def test_nobody_gets_the_private_answer_of_another_user(router: Platform) -> None:
    async with desk(router, Agent("help", alike=True)) as at:
        await at.ask("lost my card", "ann")
        await alike(at, "my card is lost", "ann")
        assert (await at.ask("my card is lost", "bob")).text == "reply 2"
        assert (await at.ask("my card is lost", "")).text == "reply 3"


async def test_a_shared_answer_is_not_found_among_private_ones(router: Platform) -> None:
    async with desk(router, Agent("help", alike=True, reuse="shared"), Agent("mine", alike=True)) as at:
        await Client(router.bus, user="ann").ask("lost my card", agent="help", timeout=20)

        async def found() -> bool:
            reply = await Client(router.bus, user="bob").ask("my card is lost", agent="help", timeout=20)
            return reply.text == "reply 1"

        await wait_until(found, "the shared answer")
        paid = len(at.model.asked)
        await Client(router.bus, user="ann").ask("my card is lost", agent="mine", timeout=20)
        assert len(at.model.asked) == paid + 1


async def test_only_agents_that_want_it_and_only_with_an_encoder(bus: Bus, router: Platform) -> None:
    async with desk(router, Agent("help", alike=True), Agent("exact")) as at:
        ann = Client(router.bus, user="ann")
        await ann.ask("lost my card", agent="exact", timeout=20)
        await ann.ask("lost my card", agent="help", timeout=20)

        async def found() -> bool:
            return (await ann.ask("my card is lost", agent="help", timeout=20)).text == "reply 2"

        await wait_until(found, "the first question has been embedded")
        assert (await ann.ask("my card is lost", agent="exact", timeout=20)).text == f"reply {len(at.model.asked)}"


async def test_without_an_encoder_nothing_is_alike(bus: Bus) -> None:
    async with meaning(bus, LexicalClassifier()) as router, desk(router, Agent("help", alike=True)) as at:
        assert router.routes.encoder is None
        await at.ask("lost my card")
        assert (await at.ask("lost my card")).text == "reply 1"
        assert (await at.ask("my card is lost")).text == "reply 2"


async def test_a_bad_answer_is_forgotten_and_the_next_one_must_be_nearer(bus: Bus) -> None:
    """A router that begins anew knows it from the log."""
    async with meaning(bus) as router, desk(router, Agent("help", alike=True)) as at:
        first = await at.ask("lost my card")
        await judge(at, await alike(at, "my card is gone"), -1)

        async def forgotten() -> bool:
            return (await at.ask("lost my card")).text != first.text

        await wait_until(forgotten, "the answer has been taken away")
        again = await alike(at, "my card is lost")
        assert saved(await at.events(again))["threshold"] == pytest.approx(0.985, abs=0.001)
        paid = len(at.model.asked)
        await at.ask("my card is gone")
        assert len(at.model.asked) == paid + 1
    async with meaning(bus) as router, desk(router, Agent("help", alike=True)) as at:
        await at.ask("lost my card")

        async def learnt() -> bool:
            note = saved(await at.events(await alike(at, "my card is lost")))
            return note["threshold"] == pytest.approx(0.985, abs=0.001)

        await wait_until(learnt, "the threshold of before")
