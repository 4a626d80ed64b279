"""Whom a question goes to, beyond what it says: the conversation that it stands in, and the questions within it."""

from __future__ import annotations

from collections.abc import Sequence

from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform, kinds, routed
from trunkline import Agent, Run
from trunkline.budget import BudgetSettings
from trunkline.bus import Bus, append, fold
from trunkline.contracts.codec import Event
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Part, Request, Result, Task
from trunkline.contracts.registry import TOGETHER
from trunkline.contracts.subjects import CLIENT, ROUTER, RunKey, filter_of
from trunkline.worker import working
from trunkline_agents.together import together


def echo(name: str, *examples: str, generalist: bool = False) -> Agent:
    """An agent that says who it is and what it was asked."""
    agent = Agent(name, description=f"All about {name}", examples=examples, generalist=generalist, reuse="off")

    @agent.flow
    async def answer(run: Run) -> str:
        return f"{name}: {run.text}"

    return agent


def broken(name: str, *examples: str) -> Agent:
    agent = Agent(name, description=f"All about {name}", examples=examples, reuse="off")

    @agent.flow
    async def answer(run: Run) -> str:
        return await run.ask("nobody", run.text)

    return agent


SHIPPING = ("Where is my parcel?", "When will my order arrive?")
BILLING = ("I want my money back", "I want a refund for my invoice")
BOTH = "When will my order arrive? I want my money back!"


def task_in(events: Sequence[Event]) -> tuple[str, Task]:
    return next((event.subject.name, event.fact) for event in events if isinstance(event.fact, Task))


async def test_a_follow_up_stays_with_the_agent_of_the_conversation(platform: Platform) -> None:
    agents = echo("shipping", *SHIPPING), echo("billing", *BILLING), echo("anything", generalist=True)
    async with platform.run(*agents):
        conversation = new_conversation_id()
        for text, agent, source in (
            ("hello", "anything", "greeting"),
            ("Where is my parcel?", "shipping", "example"),
            ("and the other one?", "shipping", "conversation"),
            ("Danke!", "shipping", "conversation"),
            ("I want my money back", "billing", "example"),
            ("why?", "billing", "conversation"),
        ):
            key = RunKey.checked(new_run_id(), conversation)
            await append(platform.bus, key.step("request", ROUTER), Request(text=text))
            await platform.answer(key)
            name, task = task_in(await fold(platform.bus, key.everything))
            assert (text, name, task.route.source) == (text, agent, source)


async def test_a_router_that_begins_anew_knows_it_from_the_log(bus: Bus) -> None:
    """What it keeps in memory is only quicker; a delegated run or a refusal in between does not count."""
    agents = echo("shipping", *SHIPPING), echo("billing", *BILLING), echo("anything", generalist=True)
    async with routed(bus) as before, before.run(*agents):
        first = await before.asked("Where is my parcel?")
        await before.answer(first)
        refused = await before.asked(" ", conversation=first.conversation)
        await before.answer(refused)
    async with routed(bus) as after, after.run(*agents):
        key = await after.asked("and the other one?", conversation=first.conversation)
        assert (await after.answer(key)).agent == "shipping"


async def test_an_answer_from_elsewhere_counts_as_its_agents(bus: Bus) -> None:
    """One that was given again has no task."""
    key = RunKey.checked(new_run_id(), new_conversation_id())
    await append(bus, key.step("answer", CLIENT), Answer(agent="billing", text="Yes.", source="cache"))
    agents = echo("shipping", *SHIPPING), echo("billing", *BILLING), echo("anything", generalist=True)
    async with routed(bus) as platform, platform.run(*agents):
        after = await platform.asked("why?", conversation=key.conversation)
        assert (await platform.answer(after)).agent == "billing"


async def test_an_agent_that_has_left_keeps_no_conversation(platform: Platform) -> None:
    async with platform.run(echo("billing", *BILLING), echo("anything", generalist=True)):
        async with platform.run(echo("shipping", *SHIPPING)):
            first = await platform.asked("Where is my parcel?")
            await platform.answer(first)
        await wait_until(lambda: "shipping" not in platform.routes.agents(), "the router lets go of it")
        key = await platform.asked("thanks", conversation=first.conversation)
        assert (await platform.answer(key)).agent == "anything"


async def test_questions_for_two_agents_get_one_answer(platform: Platform) -> None:
    async with platform.run(echo("shipping", *SHIPPING), echo("billing", *BILLING), together):
        answer, events = await platform.ask(BOTH)
        assert answer == (
            "1. When will my order arrive?\nshipping: When will my order arrive?\n\n"
            "2. I want my money back!\nbilling: I want my money back!"
        )
        agent, task = task_in(events)
        assert (agent, task.route.source) == (TOGETHER, "several")
        assert task.parts == (
            Part(agent="shipping", text="When will my order arrive?"),
            Part(agent="billing", text="I want my money back!"),
        )
        assert kinds(events).count("result") == 2


async def test_each_of_several_questions_gets_the_models_that_it_needs(bus: Bus) -> None:
    """Here every question is a hard one; where an agent names its models, the router leaves it at that."""
    shipping = Agent("shipping", examples=SHIPPING, model="auto")
    billing = Agent("billing", examples=BILLING, model="small")
    async with routed(bus, router_hard=0) as platform, platform.run(shipping, billing, together):
        answer, events = await platform.ask(BOTH)
        assert answer.startswith("1. When will my order arrive?")
        delegated = await fold(bus, filter_of(kind="task"))
    _, task = task_in(events)
    assert [(part.agent, part.tier) for part in task.parts] == [("shipping", "large"), ("billing", "")]
    tiers = {event.subject.name: event.fact.tier for event in delegated if isinstance(event.fact, Task)}
    assert tiers == {TOGETHER: "", "shipping": "large", "billing": ""}
    assert sorted(query.model for query in platform.model.asked) == ["offline:large", "offline:small"]


async def test_what_follows_is_for_the_agent_of_the_last_question(platform: Platform) -> None:
    async with platform.run(echo("shipping", *SHIPPING), echo("billing", *BILLING), together):
        first = await platform.asked(BOTH)
        await platform.answer(first)
        key = await platform.asked("why?", conversation=first.conversation)
        assert (await platform.answer(key)).agent == "billing"


async def test_one_that_fails_is_said_and_the_others_are_answered(platform: Platform) -> None:
    async with platform.run(echo("shipping", *SHIPPING), broken("billing", *BILLING), together):
        answer, events = await platform.ask(BOTH)
        assert answer.startswith("1. When will my order arrive?\nshipping: When will my order arrive?\n\n2. ")
        assert "No answer, billing failed: There is no agent 'nobody' now." in answer
        failed = [event.fact.error is not None for event in events if isinstance(event.fact, Result)]
        assert sorted(failed) == [False, True]


async def test_when_all_of_them_fail_the_run_does(platform: Platform) -> None:
    async with platform.run(broken("shipping", *SHIPPING), broken("billing", *BILLING), together):
        answer, _ = await platform.ask(BOTH)
        assert answer.startswith("run_failed: None of the 2 questions was answered. shipping: There is no agent")


async def test_when_none_of_them_may_be_paid_it_is_the_budget_that_says_so(platform: Platform) -> None:
    no_money = BudgetSettings.model_validate({"run": "0.000001"})
    agents = [Agent("shipping", examples=SHIPPING), Agent("billing", examples=BILLING), together]
    async with working(platform.bus, agents, platform.model, lambda _: ("openai:gpt-4o-mini",), budgets=no_money):
        names = {agent.name for agent in agents}
        await wait_until(lambda: names <= set(platform.routes.agents()), "the router knows them")
        key = await platform.asked(BOTH)
        error = (await platform.answer(key)).error
    assert error is not None
    assert (error.code, error.data["limit"]) == ("over_budget", "0.000001")
    assert error.message.startswith("None of the 2 questions was answered. shipping: The budget of this run has ")


async def test_together_asked_by_its_name_says_what_it_is_for(platform: Platform) -> None:
    async with platform.run(together):
        answer, _ = await platform.ask(BOTH, agent=TOGETHER)
        assert answer.startswith("run_failed: together answers only requests in which the router finds several")
        alone = await platform.asked(BOTH)
        assert (await platform.answer(alone)).error
