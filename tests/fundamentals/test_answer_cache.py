"""What was answered before is answered at once, by the same words, unpaid: to whom it may be told, and only then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform, kinds, routed
from trunkline import Agent, Client, Run, Say
from trunkline.bus import Bus, append, fold
from trunkline.bus.marks import Mark, keep_mark, read_mark
from trunkline.client import Reply
from trunkline.contracts.codec import Event
from trunkline.contracts.dialog import ModelQuery, ModelReply, Usage
from trunkline.contracts.errors import ModelFailed, RunFailed
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Cancel, Feedback, Note, Request, Task
from trunkline.contracts.registry import Reuse
from trunkline.contracts.savings import SAVING
from trunkline.contracts.subjects import ROUTER, RunKey, filter_of
from trunkline.worker import working
from trunkline_agents.app import agents_service
from trunkline_agents.settings import AgentsSettings
from trunkline_router.runs.sharing import SHARING

MODEL = "openai:gpt-4o-mini"
COST = "0.00027"
"""What 1,000 tokens into it and 200 out of it cost."""


@dataclass
class Oracle:
    """A paid model. What it is asked is counted; `gate`, once it is closed, keeps its replies back."""

    asked: list[ModelQuery] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    fails: bool = False

    def __post_init__(self) -> None:
        self.gate.set()

    async def complete(self, query: ModelQuery, _on_text: Callable[[str], None]) -> ModelReply:
        self.asked.append(query)
        number = len(self.asked)
        await self.gate.wait()
        if self.fails:
            raise ModelFailed("It is too hot.")
        return ModelReply(
            model=query.model, text=f"reply {number}", usage=Usage(input_tokens=1000, output_tokens=200), finish="stop"
        )

    async def close(self) -> None:
        pass


@dataclass
class Desk:
    """A platform with the agents of one file, and who asks them."""

    platform: Platform
    model: Oracle

    async def ask(self, text: str, user: str = "ann", **ways: bool) -> Reply:
        return await Client(self.platform.bus, user=user).ask(text, timeout=20, **ways)  # type: ignore[arg-type]

    async def put(self, text: str, user: str = "ann") -> RunKey:
        """A question that nobody watches."""
        key = RunKey.checked(new_run_id(), new_conversation_id())
        await append(self.platform.bus, key.step("request", ROUTER), Request(text=text, user=user, first=True))
        return key

    async def events(self, reply: Reply) -> list[Event]:
        return await self.platform.events_of(reply.run, reply.conversation)

    async def waits(self, key: RunKey) -> None:
        """Until it is on the log that this run waits for another one."""
        await wait_until(lambda: self._waits(key), f"run {key.run} waits")

    async def _waits(self, key: RunKey) -> bool:
        return any(
            isinstance(event.fact, Note) and event.fact.what == SHARING
            for event in await fold(self.platform.bus, key.everything)
        )


@contextlib.asynccontextmanager
async def desk(
    platform: Platform, *agents: Agent, model: Oracle | None = None, version: str = "1"
) -> AsyncIterator[Desk]:
    oracle = model or Oracle()
    names = {agent.name for agent in agents}
    async with working(platform.bus, agents, oracle, lambda _: (MODEL,), version=version):
        await wait_until(lambda: names <= set(platform.routes.agents()), "the router knows the agents")
        yield Desk(platform, oracle)


@pytest.fixture
async def router(bus: Bus) -> AsyncIterator[Platform]:
    async with routed(bus) as made:
        yield made


def saved(events: Sequence[Event]) -> dict[str, object]:
    return next(event.fact.data for event in events if isinstance(event.fact, Note) and event.fact.what == SAVING)


async def test_the_same_question_is_answered_from_the_log_and_says_what_that_saved(router: Platform) -> None:
    async with desk(router, Agent("facts")) as at:
        first = await at.ask("How far is the moon?")
        again = await at.ask("  how far is the Moon!")
        assert (again.text, again.agent, len(at.model.asked)) == (first.text, "facts", 1)
        events = await at.events(again)
        answers = [event.fact for event in await at.events(first) if isinstance(event.fact, Answer)]
    assert (answers[0].cost, answers[0].reusable) == (COST, True)
    assert kinds(events) == ["request", "note", "answer"]
    note, answer = saved(events), events[-1].fact
    assert (note["lever"], note["cost"], note["of"]) == ("answer_cache", COST, first.run)
    assert isinstance(answer, Answer)
    assert (answer.source, answer.cost) == ("cache", "0")


async def test_an_answer_is_private_to_its_user_and_nobody_has_none(router: Platform) -> None:
    async with desk(router, Agent("facts")) as at:
        replies = [await at.ask("What is my name?", user) for user in ("ann", "bob", "", "", "ann")]
    assert [reply.text for reply in replies] == ["reply 1", "reply 2", "reply 3", "reply 4", "reply 1"]


async def test_a_shared_answer_is_everybodys_and_with_off_nobody_gets_one(router: Platform) -> None:
    async with desk(router, Agent("facts", reuse="shared"), Agent("news", reuse="off")):
        for user in ("ann", "bob", ""):
            assert (await Client(router.bus, user=user).ask("Why?", agent="facts", timeout=20)).text == "reply 1"
        for text in ("reply 2", "reply 3"):
            assert (await Client(router.bus, user="ann").ask("Why?", agent="news", timeout=20)).text == text


async def test_the_agent_that_ships_with_the_platform_answers_again_too(router: Platform, tmp_path: Path) -> None:
    (tmp_path / "trunkline.toml").write_text("")
    settings = AgentsSettings(nats_url=router.bus.url, config=str(tmp_path / "trunkline.toml"))
    async with agents_service(settings).work(router.bus):
        await wait_until(lambda: "generalist" in router.routes.agents(), "the router knows the generalist")
        client = Client(router.bus, user="ann")
        first, again = [await client.ask("Who are you?", timeout=20) for _ in range(2)]
    assert again.text == first.text
    assert kinds(await router.events_of(again.run, again.conversation)) == ["request", "note", "answer"]


async def test_only_what_nothing_was_said_before_is_answered_again(router: Platform) -> None:
    """And what was answered again is part of its conversation like any other answer."""
    async with desk(router, Agent("facts")) as at:
        await at.ask("How far is the moon?")
        talk = Client(router.bus, user="ann").conversation()
        await talk.ask("What is the sun?", timeout=20)
        assert (await talk.ask("How far is the moon?", timeout=20)).text == "reply 3"
        again = await at.ask("How far is the moon?")
        await Client(router.bus, user="ann").ask("Really?", conversation=again.conversation, timeout=20)
    assert len(at.model.asked) == 4
    assert [message.__struct_config__.tag for message in at.model.asked[-1].messages] == ["user", "assistant", "user"]


async def test_the_first_question_of_a_conversation_may_have_been_answered_before(router: Platform) -> None:
    async with desk(router, Agent("facts")) as at:
        first = await at.ask("How far is the moon?")
        talk = Client(router.bus, user="ann").conversation()
        assert (await talk.ask("How far is the moon?", timeout=20)).text == first.text
        await talk.ask("Really?", timeout=20)
    assert [len(query.messages) for query in at.model.asked] == [1, 3]


async def test_a_fresh_answer_is_paid_for_and_takes_the_place_of_the_old_one(router: Platform) -> None:
    async with desk(router, Agent("facts")) as at:
        texts = [(await at.ask("Why?")).text, (await at.ask("Why?", fresh=True)).text, (await at.ask("Why?")).text]
    assert texts == ["reply 1", "reply 2", "reply 2"]


async def test_other_code_answers_anew(router: Platform) -> None:
    async with desk(router, Agent("facts"), version="1") as at:
        await at.ask("Why?")
    async with desk(router, Agent("facts"), version="2") as at:
        await wait_until(lambda: router.routes.agents()["facts"].version == "2", "the new code is registered")
        await wait_until(lambda: len(router.routes.roster.expected()) == 1, "the old code has left")
        await at.ask("Why?")
        assert len(at.model.asked) == 1


async def test_while_two_versions_are_at_work_nothing_is_answered_again(router: Platform) -> None:
    async with desk(router, Agent("facts"), version="1") as old:
        await old.ask("Why?")
        async with desk(router, Agent("facts"), version="2") as new:
            await wait_until(lambda: len(router.routes.roster.expected()) == 2, "both versions are registered")
            await old.ask("Why?")
            assert len(old.model.asked) + len(new.model.asked) == 2


async def test_a_hundred_who_ask_the_same_at_once_pay_once(router: Platform) -> None:
    model = Oracle()
    model.gate.clear()
    async with desk(router, Agent("facts", reuse="shared"), model=model) as at:
        runs = await asyncio.gather(*(at.put("How far is the moon?", f"user{n}") for n in range(100)))

        async def settled() -> bool:
            found = await fold(router.bus, filter_of(kind="note", name=ROUTER), filter_of(kind="task"))
            return len(found) == 100

        await wait_until(settled, "one has its task, and the others wait", seconds=60)
        model.gate.set()
        answers = [await router.answer(run) for run in runs]
    assert {answer.text for answer in answers} == {"reply 1"}
    assert sorted(answer.cost for answer in answers) == ["0"] * 99 + [COST]
    assert len(model.asked) == 1


async def test_those_who_waited_for_a_failure_are_all_answered_on_their_own(router: Platform) -> None:
    model = Oracle()
    model.gate.clear()
    agent = Agent("facts", reuse="shared", fallback=Say("Ask later."))
    async with desk(router, agent, model=model) as at:
        first = await at.put("Why?")
        await router.until(first, "task")
        others = [await at.put("Why?", f"user{n}") for n in range(3)]
        for each in others:
            await at.waits(each)
        model.fails = True
        model.gate.set()
        assert (await router.answer(first)).text == "Ask later."
        for each in others:
            await router.until(each, "task")
            assert (await router.answer(each)).text == "Ask later."


async def test_a_cancelled_run_leaves_those_who_wait_for_it_to_themselves(router: Platform) -> None:
    model = Oracle()
    model.gate.clear()
    async with desk(router, Agent("facts"), model=model) as at:
        first = await at.put("Why?")
        await router.until(first, "prompt")
        second = await at.put("Why?")
        await at.waits(second)
        await append(router.bus, first.cancel, Cancel())
        await router.until(second, "task")
        model.gate.set()
        assert (await router.answer(second)).text == "reply 2"
    failure = (await router.answer(first)).error
    assert failure
    assert failure.code == "cancelled"


async def test_one_who_waits_can_be_cancelled_alone(router: Platform) -> None:
    model = Oracle()
    model.gate.clear()
    async with desk(router, Agent("facts"), model=model) as at:
        first = await at.put("Why?")
        await router.until(first, "prompt")
        second = await at.put("Why?")
        await at.waits(second)
        await append(router.bus, second.cancel, Cancel())
        failure = (await router.answer(second)).error
        assert failure
        assert failure.code == "cancelled"
        model.gate.set()
        assert (await router.answer(first)).text == "reply 1"
    assert len(model.asked) == 1


async def test_one_who_waits_is_not_told_that_nobody_began(bus: Bus) -> None:
    """The time in the queue is over for it long before the other run's answer comes."""
    model = Oracle()
    model.gate.clear()
    async with routed(bus, router_queue_seconds=3) as router, desk(router, Agent("facts"), model=model) as at:
        first = await at.put("Why?")
        await router.until(first, "prompt")
        second = await at.put("Why?")
        await at.waits(second)
        probe = RunKey.checked(new_run_id(), new_conversation_id())
        await append(bus, probe.step("task", "nobody"), Task(text="?"))
        failure = (await router.answer(probe)).error
        assert failure
        assert failure.code == "queue_timeout"  # asked after the other two: their time is over, too
        model.gate.set()
        assert ((await router.answer(first)).text, (await router.answer(second)).text) == ("reply 1", "reply 1")


async def test_one_who_waits_keeps_its_own_deadline(bus: Bus) -> None:
    model = Oracle()
    model.gate.clear()
    async with routed(bus) as router, desk(router, Agent("facts"), model=model) as at:
        first = await at.put("Why?")
        await router.until(first, "prompt")
        with pytest.raises(RunFailed) as late:
            await Client(bus, user="ann").ask("Why?", timeout=20, deadline=1)
        assert late.value.data["code"] == "deadline_passed"
        model.gate.set()
        await router.answer(first)


async def test_one_who_waits_for_a_run_that_sleeps_is_given_to_an_agent_in_time(router: Platform) -> None:
    agent = Agent("facts", reuse="shared")

    @agent.flow
    async def patient(run: Run) -> str:
        if run.user == "ann":
            await run.sleep(60)
        return f"for {run.user}"

    async with desk(router, agent) as at:
        leader = await at.put("What is new?", user="ann")
        await router.until(leader, "call")
        key = RunKey.checked(new_run_id(), new_conversation_id())
        soon = datetime.now(UTC) + timedelta(seconds=4)
        request = Request(text="What is new?", user="bob", first=True, deadline=soon)
        await append(router.bus, key.step("request", ROUTER), request)
        await at.waits(key)
        assert (await router.answer(key)).text == "for bob"


async def test_a_router_that_begins_anew_knows_who_waits_for_whom(bus: Bus) -> None:
    """Even if it reads only what comes behind the run that was waited for."""
    model = Oracle()
    model.gate.clear()
    async with contextlib.AsyncExitStack() as stack:
        async with routed(bus) as router:
            at = await stack.enter_async_context(desk(router, Agent("facts"), model=model))
            first = await at.put("Why?")
            await router.until(first, "prompt")
            second = await at.put("Why?")
            await at.waits(second)
        model.gate.set()
        assert (await router.answer(first)).text == "reply 1"
        asked = await router.until(second, "request")
        await keep_mark(bus, ROUTER, Mark(asked.sequence - 1, (await read_mark(bus, ROUTER)).log))
        async with routed(bus) as router:
            assert (await router.answer(second)).text == "reply 1"
    assert len(model.asked) == 1


async def test_a_question_for_the_small_tier_may_have_what_the_large_one_said_and_not_the_other_way(bus: Bus) -> None:
    agent, model = Agent("facts", model="auto"), Oracle()
    replies = []
    for hard, text in ((0.0, "Why?"), (1.0, "Why?"), (1.0, "How?"), (0.0, "How?")):
        ways: dict[str, float | str] = {"router_cache": "bus", "router_hard": hard}
        async with routed(bus, **ways) as router, desk(router, agent, model=model) as at:
            replies.append((await at.ask(text)).text)
    assert replies == ["reply 1", "reply 1", "reply 2", "reply 3"]


async def test_what_tools_said_is_told_again_only_if_they_allow_it(platform: Platform) -> None:
    """Of the platform's tools `double` is cacheable, `add` is not."""
    for tool, paid in (("add", 2), ("double", 1)):
        runs = 0
        agent = Agent(f"uses-{tool}", tools=[tool])

        @agent.flow
        async def reckon(run: Run, tool: str = tool) -> str:
            nonlocal runs
            runs += 1
            given = {"a": 1, "b": 1} if tool == "add" else {"number": 1}
            return str(await run.call(tool, **given))

        async with desk(platform, agent):
            for _ in range(2):
                assert (await Client(platform.bus, user="ann").ask("1 + 1?", agent=agent.name, timeout=20)).text == "2"
        assert (tool, runs) == (tool, 2 * paid)  # a flow is begun once for each of its two turns


@pytest.mark.parametrize(
    ("reuse", "asked"), [("shared", ["ann"]), ("private", ["ann", "bob"]), ("off", ["ann", "bob"])]
)
async def test_what_another_agent_keeps_to_itself_is_not_told_again_by_the_one_that_asked_it(
    router: Platform, reuse: Reuse, asked: list[str]
) -> None:
    front, notes = Agent("front", reuse="shared", generalist=True), Agent("notes", hidden=True, reuse=reuse)
    told: list[str] = []

    @front.flow
    async def ask(run: Run) -> str:
        return await run.ask("notes", run.text)

    @notes.flow
    async def look_up(run: Run) -> str:
        told.append(run.user)
        return f"of {run.user}"

    async with desk(router, front, notes) as at:
        answers = [(await at.ask("What is in my notes?", user)).text for user in ("ann", "bob")]
    assert told == asked
    assert answers == [f"of {asked[0]}", f"of {asked[-1]}"]


async def test_an_answer_that_somebody_calls_bad_is_not_given_again(router: Platform) -> None:
    async with desk(router, Agent("facts", reuse="shared")) as at:
        first, again = await at.ask("Why?", "ann"), await at.ask("Why?", "bob")
        assert again.text == first.text
        await append(
            router.bus,
            RunKey.checked(again.run, again.conversation).step("feedback", "ledger"),
            Feedback(verdict=-1, by="bob"),
        )

        async def paid() -> bool:
            return (await at.ask("Why?", "eve")).text == "reply 2"

        await wait_until(paid, "the next one is answered anew")


async def test_a_strangers_verdict_takes_nothing_away(router: Platform) -> None:
    async with desk(router, Agent("facts", reuse="shared")) as at:
        first = await at.ask("Why?", "ann")
        key = RunKey.checked(first.run, first.conversation)
        await append(router.bus, key.step("feedback", "ledger"), Feedback(verdict=-1, by="mallory"))
        other = await at.ask("What?", "ann")
        await append(
            router.bus,
            RunKey.checked(other.run, other.conversation).step("feedback", "ledger"),
            Feedback(verdict=-1, by="ann"),
        )

        async def read() -> bool:
            return (await at.ask("What?", "ann")).text != other.text

        await wait_until(read, "the verdict behind it has been read")
        assert (await at.ask("Why?", "ann")).text == first.text


async def test_two_routers_with_one_store_make_two_runs_at_most(bus: Bus) -> None:
    model = Oracle()
    async with (
        routed(bus, router_cache="bus") as router,
        routed(bus, router_cache="bus"),
        desk(router, Agent("facts", reuse="shared"), model=model) as at,
    ):
        runs = await asyncio.gather(*(at.put("How far is the moon?", f"user{n}") for n in range(100)))
        answers = [await router.answer(run) for run in runs]
    assert not [answer.error for answer in answers if answer.error]
    assert len(model.asked) <= 2
