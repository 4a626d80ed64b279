"""Questions of one conversation are answered one after the other, unless somebody wants it otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform, kinds, routed
from trunkline import Agent, Client, Run
from trunkline.bus import Bus, Lease, fold
from trunkline.client import Answered
from trunkline.contracts.codec import Event
from trunkline.contracts.messages import Request, Task
from trunkline.contracts.subjects import filter_of
from trunkline.models import OfflineModel
from trunkline.worker import working


class Gate:
    """An agent that answers each question when it is let through, with what was said before."""

    def __init__(self) -> None:
        self.agent = Agent("gate")
        self.begun: list[str] = []
        self._open: dict[str, asyncio.Event] = {}

        @self.agent.flow
        async def handle(run: Run) -> str:
            self.begun.append(run.text)
            await self._gate(run.text).wait()
            return f"{run.text} after {len(run.messages) // 2}"

    def let_through(self, text: str) -> None:
        self._gate(text).set()

    def _gate(self, text: str) -> asyncio.Event:
        return self._open.setdefault(text, asyncio.Event())


@pytest.fixture
async def platform(bus: Bus) -> AsyncIterator[Platform]:
    async with routed(bus) as made:
        yield made


async def test_a_question_waits_for_the_earlier_one_and_knows_its_answer(platform: Platform) -> None:
    gate = Gate()
    async with platform.run(gate.agent):
        first = await platform.asked("one", conversation="c")
        second = await platform.asked("two", conversation="c")
        await platform.until(second, "note")
        await platform.until(first, "task")
        assert "task" not in kinds(await fold(platform.bus, second.everything))
        gate.let_through("two")
        gate.let_through("one")
        assert (await platform.answer(first)).text == "one after 0"
        assert (await platform.answer(second)).text == "two after 1"
    assert gate.begun == ["one", "two"]


async def test_a_watcher_sees_that_it_waits(platform: Platform) -> None:
    gate = Gate()
    async with platform.run(gate.agent):
        await platform.asked("one", conversation="c")
        async for item in platform.client.stream("two", conversation="c"):
            if getattr(item, "text", "") == "waits for the earlier question":
                gate.let_through("one")
                gate.let_through("two")
    assert gate.begun == ["one", "two"]


async def test_many_questions_keep_their_order(platform: Platform) -> None:
    gate = Gate()
    texts = [str(number) for number in range(8)]
    async with platform.run(gate.agent):
        keys = [await platform.asked(text, conversation="c") for text in texts]
        for text in texts:
            gate.let_through(text)
        for key in keys:
            await platform.answer(key)
    assert gate.begun == texts
    assert [event.subject.run for event in await tasks(platform.bus)] == [key.run for key in keys]


async def test_a_question_may_go_ahead(platform: Platform) -> None:
    gate = Gate()
    async with platform.run(gate.agent):
        first = await platform.asked("one", conversation="c")
        gate.let_through("two")
        reply = await platform.client.ask("two", conversation="c", order="parallel", timeout=10)
        assert reply.text == "two after 0"
        gate.let_through("one")
        await platform.answer(first)


async def test_a_question_may_take_the_place_of_the_earlier_ones(platform: Platform) -> None:
    gate = Gate()
    gate.let_through("three")
    async with platform.run(gate.agent):
        running = await platform.asked("one", conversation="c")
        waiting = await platform.asked("two", conversation="c")
        await platform.until(running, "task")
        await platform.until(waiting, "note")
        reply = await platform.client.ask("three", conversation="c", order="replace", timeout=10)
        errors = [(await platform.answer(key)).error for key in (running, waiting)]
    assert reply.text == "three after 0"
    assert [error.code for error in errors if error] == ["replaced", "replaced"]


async def test_the_setting_decides_where_the_request_does_not(bus: Bus) -> None:
    gate = Gate()
    gate.let_through("two")
    async with routed(bus, router_order="parallel") as platform, platform.run(gate.agent):
        first = await platform.asked("one", conversation="c")
        assert (await platform.client.ask("two", conversation="c", timeout=10)).text == "two after 0"
        second = await platform.asked("three", conversation="c", order="queue")
        await platform.until(second, "note")
        gate.let_through("one")
        gate.let_through("three")
        await platform.answer(first)
        await platform.answer(second)


async def test_what_waits_survives_the_router(bus: Bus) -> None:
    """The earlier answer comes while there is no router; the next one goes on in the same order."""
    gate = Gate()
    async with working(bus, [gate.agent], OfflineModel(), lambda name: (f"offline:{name}",)):
        async with routed(bus) as before:
            await wait_until(lambda: "gate" in before.routes.agents(), "the router to know the agent")
            keys = [await before.asked(text, conversation="c") for text in ("one", "two", "three")]
            for key in keys[1:]:
                await before.until(key, "note")
        gate.let_through("one")
        await before.answer(keys[0])
        gate.let_through("two")
        gate.let_through("three")
        assert gate.begun == ["one"]
        async with routed(bus) as after:
            assert [(await after.answer(key)).text for key in keys[1:]] == ["two after 1", "three after 2"]
    assert [event.subject.run for event in await tasks(bus)] == [key.run for key in keys]


async def test_a_conversation_takes_only_so_many_unanswered_questions(bus: Bus) -> None:
    gate = Gate()
    async with routed(bus, router_conversation_limit=2) as platform, platform.run(gate.agent):
        keys = [await platform.asked(text, conversation="c") for text in ("one", "two", "three")]
        error = (await platform.answer(keys[2])).error
        assert error is not None
        assert (error.code, error.data) == ("busy", {"waiting": 2})
        for text, key in zip(("one", "two"), keys, strict=False):
            gate.let_through(text)
            await platform.answer(key)


async def test_what_waits_too_long_ends_and_names_the_earlier_one(bus: Bus) -> None:
    gate = Gate()
    async with routed(bus, router_queue_seconds=3) as platform, platform.run(gate.agent):
        first = await platform.asked("one", conversation="c")
        await platform.until(first, "task")
        error = (await platform.answer(await platform.asked("two", conversation="c"))).error
        assert error is not None
        assert error.code == "queue_timeout"
        assert f"an earlier question of the conversation, run {first.run}, has no answer yet" in error.message
        gate.let_through("one")
        await platform.answer(first)


async def test_a_waiting_question_that_is_cancelled_is_in_nobodys_way(platform: Platform) -> None:
    gate = Gate()
    async with platform.run(gate.agent):
        keys = [await platform.asked(text, conversation="c") for text in ("one", "two", "three")]
        await platform.until(keys[2], "note")
        await platform.client.cancel(keys[1].run)
        await platform.answer(keys[1])
        gate.let_through("one")
        gate.let_through("three")
        assert (await platform.answer(keys[2])).text == "three after 1"
    assert gate.begun == ["one", "three"]


async def test_several_routers_ask_each_question_once(bus: Bus) -> None:
    gate = Gate()
    texts = [str(number) for number in range(6)]
    for text in texts:
        gate.let_through(text)
    async with routed(bus) as platform, routed(bus), routed(bus), platform.run(gate.agent):
        keys = [await platform.asked(text, conversation="c") for text in texts]
        for key in keys:
            await platform.answer(key)
    assert gate.begun == texts


async def test_a_request_that_comes_again_changes_nothing(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """The acknowledgements of all first deliveries are lost."""
    acknowledge = Lease.ack

    async def lose(lease: Lease) -> None:
        await (lease.retry(0.05) if lease.fresh else acknowledge(lease))

    gate = Gate()
    gate.let_through("two")
    monkeypatch.setattr(Lease, "ack", lose)
    async with platform.run(gate.agent):
        keys = [await platform.asked(text, conversation="c") for text in ("one", "two")]
        await platform.until(keys[1], "note")
        gate.let_through("one")
        assert [(await platform.answer(key)).text for key in keys] == ["one after 0", "two after 1"]
        for key in keys:
            assert kinds(await fold(platform.bus, key.everything)).count("task") == 1


async def tasks(bus: Bus) -> list[Event]:
    return [event for event in await fold(bus, filter_of(kind="task")) if isinstance(event.fact, Task)]


def asked_first(events: list[Event]) -> dict[str, bool]:
    """Of each question, whether it says that its conversation begins with it."""
    return {event.fact.text: event.fact.first for event in events if isinstance(event.fact, Request)}


async def test_a_new_conversation_begins_with_its_first_question(platform: Platform) -> None:
    gate, client = Gate(), Client(platform.bus, user="ann")
    for text in ("one", "two", "three", "four"):
        gate.let_through(text)
    async with platform.run(gate.agent):
        talk = client.conversation()
        assert [(await talk.ask(text, timeout=20)).text for text in ("one", "two")] == ["one after 0", "two after 1"]
        same = client.conversation(talk.id)
        assert (await same.ask("three", timeout=20)).text == "three after 2"
        items = [item async for item in client.conversation().stream("four", timeout=20)]
    assert isinstance(items[-1], Answered)
    assert items[-1].text == "four after 0"
    found = await fold(platform.bus, filter_of(kind="request"))
    assert asked_first(found) == {"one": True, "two": False, "three": False, "four": True}


async def test_two_first_questions_at_once_are_answered_one_after_the_other(platform: Platform) -> None:
    """Whichever the log has first is the first one; also of a conversation in which somebody else asked meanwhile."""
    gate = Gate()
    async with platform.run(gate.agent):
        talk = platform.client.conversation()
        asking = [asyncio.create_task(talk.ask(text, timeout=20)) for text in ("one", "two")]
        other = platform.client.conversation()
        foreign = await platform.asked("foreign", conversation=other.id)
        asking.append(asyncio.create_task(other.ask("three", timeout=20)))
        await wait_until(lambda: len(gate.begun) == 2, "the first question of each has begun")
        for text in ("one", "two", "three", "foreign"):
            gate.let_through(text)
        said = [(await reply).text for reply in asking]
        assert (await platform.answer(foreign)).text == "foreign after 0"
    assert sorted(said) in (
        ["one after 0", "three after 1", "two after 1"],
        ["one after 1", "three after 1", "two after 0"],
    )
    found = await fold(platform.bus, filter_of(kind="request"))
    in_talk = [event.fact for event in found if event.subject.conversation == talk.id]
    assert [fact.first for fact in in_talk if isinstance(fact, Request)] in ([True, False], [False, False])
    assert not asked_first(found)["three"]
