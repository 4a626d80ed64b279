"""The router learns from what stands on the log: while it runs, and when it begins anew."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform, routed
from trunkline import Agent, Client
from trunkline.bus import Bus, append
from trunkline.contracts.errors import InvalidArguments, NotFound, UnknownAgent
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Feedback, Note, Request, Route, Task
from trunkline.contracts.subjects import CLIENT, ROUTER, RunKey
from trunkline_router.learning.difficulty import prior
from trunkline_router.learning.lessons import MOST_OF_ONE_USER

PAPERS = "Which customs paperwork do I need?"
METER = "Which tariff applies to my meter?"
AGENTS = (
    Agent("billing", description="Invoices and refunds", examples=["I want my money back", "Why was I charged twice?"]),
    Agent("shipping", description="Parcels", examples=["Where is my parcel?", "My parcel is late"]),
    Agent("anything", description="Everything else", generalist=True),
)


@contextlib.asynccontextmanager
async def router(bus: Bus, **settings: float | str) -> AsyncIterator[Platform]:
    async with routed(bus, **settings) as platform, platform.run(*AGENTS):
        yield platform


async def answered(bus: Bus, question: str, *, user: str = "ada", agent: str = "billing", tier: str = "") -> RunKey:
    """A run as it stands on the log once it is over."""
    key = RunKey.checked(new_run_id(), new_conversation_id())
    await append(bus, key.step("task", agent), Task(text=question, route=Route(source="lexical"), tier=tier))
    await append(bus, key.step("answer", CLIENT), Answer(agent=agent, text="well"))
    await append(bus, key.step("request", ROUTER), Request(text=question, user=user, first=True))
    return key


async def who_gets(platform: Platform, question: str) -> str:
    return (await platform.routes.classify(question)).label


async def until_taught(platform: Platform, question: str, agent: str) -> None:
    async def taught() -> bool:
        return await who_gets(platform, question) == agent

    await wait_until(taught, f"{question!r} is for {agent or 'nobody'}")


async def test_a_correction_is_learnt_and_outlives_the_router(bus: Bus) -> None:
    async with router(bus) as platform:
        client = Client(bus, user="ada")
        reply = await client.ask(PAPERS)
        assert reply.agent == "anything"
        await client.feedback(reply, -1, agent="shipping")
        await until_taught(platform, PAPERS, "shipping")
        assert (await client.ask("customs paperwork?")).agent == "shipping"
    async with router(bus) as anew:
        await until_taught(anew, PAPERS, "shipping")
        assert (await Client(bus).ask("customs paperwork?")).agent == "shipping"


async def test_two_routers_learn_the_same_each_by_itself(bus: Bus) -> None:
    async with router(bus) as one, routed(bus) as other:
        key = await answered(bus, PAPERS)
        await Client(bus, user="ada").feedback(key.run, -1, agent="shipping")
        for each in (one, other):
            await until_taught(each, PAPERS, "shipping")


async def test_who_changes_their_mind_is_heard(bus: Bus) -> None:
    async with router(bus) as platform:
        client, key = Client(bus, user="ada"), await answered(bus, PAPERS)
        await client.feedback(key.run, -1, agent="shipping")
        await until_taught(platform, PAPERS, "shipping")
        await client.feedback(key.run, 0)
        await until_taught(platform, PAPERS, "")


async def test_only_who_asked_and_operators_are_heard(bus: Bus) -> None:
    async with router(bus, router_operators="olga, otto") as platform:
        for by, question in (("eve", PAPERS), ("olga", METER)):
            key = await answered(bus, question)
            await Client(bus, user=by).feedback(key.run, -1, agent="shipping")
        await until_taught(platform, METER, "shipping")
        assert await who_gets(platform, PAPERS) == ""


async def test_one_user_does_not_turn_a_route_round(bus: Bus) -> None:
    """However many of his questions he corrects, others' go where they went."""
    async with router(bus) as platform:
        client = Client(bus, user="eve")
        for number in range(3 * MOST_OF_ONE_USER):
            key = await answered(bus, f"I want my money back for order {number}", user="eve")
            await client.feedback(key.run, -1, agent="shipping")
        last = f"I want my money back for order {3 * MOST_OF_ONE_USER - 1}"
        await until_taught(platform, last, "shipping")
        assert platform.routes.known(last) is None
        assert await who_gets(platform, "I want my money back") == "billing"
        assert await who_gets(platform, "Why was I charged twice for it?") == "billing"
        assert len(platform.routes.lessons.taught().examples["shipping"]) == MOST_OF_ONE_USER


async def test_what_the_small_tier_failed_at_is_hard_also_after_a_restart(bus: Bus) -> None:
    async with router(bus) as platform:
        failed = await answered(bus, METER, tier="small")
        await append(bus, failed.step("note", "billing", "check"), Note(what="checked", data={"passed": False}))
        difficulty = platform.routes.difficulty
        await wait_until(lambda: difficulty.of("billing", METER) > 0.5 > prior(METER), "it is hard")
    async with router(bus) as anew:
        difficulty = anew.routes.difficulty
        await wait_until(lambda: difficulty.of("billing", METER) > 0.5, "it is hard still")


async def test_what_cannot_be_read_teaches_nothing_and_stops_nothing(bus: Bus) -> None:
    async with router(bus) as platform:
        strange = RunKey.checked(new_run_id(), new_conversation_id())
        for number, body in enumerate((b"\x00", b"[]", b'{"verdict": 99}', b'{"verdict": 1, "by": 7}')):
            await bus.client.publish(str(strange.step("feedback", "ledger", f"x{number}")), body)
        key = await answered(bus, METER, tier="small")
        strange_data: list[dict[str, object]] = [{"passed": "no"}, {"passed": None}, {}]
        for number, data in enumerate(strange_data):
            await append(bus, strange.step("note", f"a{number}", "check"), Note(what="checked", data=data))
        await append(bus, strange.step("feedback", "ledger", "y"), Feedback(verdict=-1, agent="shipping"))
        await Client(bus, user="ada").feedback(key.run, -1, agent="shipping")
        await until_taught(platform, METER, "shipping")


async def test_bad_feedback_is_refused_before_anything_is_written(bus: Bus) -> None:
    async with router(bus):
        client, key = Client(bus, user="ada"), await answered(bus, PAPERS)
        for wrong, error in (
            (client.feedback(key.run, 2), InvalidArguments),
            (client.feedback(key.run, -1, agent="nobody"), UnknownAgent),
            (client.feedback(new_run_id(), 1), NotFound),
        ):
            with pytest.raises(error):
                await wrong
