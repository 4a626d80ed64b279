"""Law 9: money is reserved before it is spent, then settled, in every budget that applies.

Here a reply costs $0.001 for each of its ten tokens, and what is said to the model costs nothing; so a call costs
$0.01, and one whose reply may have a hundred tokens $0.10 at the most.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from tests.budget_law import of_log, overspent
from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform
from trunkline import Agent, Run, Say
from trunkline.agent import OverBudgetPolicy
from trunkline.budget import BudgetSettings, Hold, Spender
from trunkline.budget.book import set_limit, standings
from trunkline.budget.counters import look
from trunkline.budget.limits import token_of
from trunkline.bus import append, fold
from trunkline.bus.streams import stream_info
from trunkline.contracts.codec import Event
from trunkline.contracts.dialog import ModelQuery, ModelReply, Usage
from trunkline.contracts.errors import ModelFailed, RunFailed
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Fact, Model, Note, Prompt, Request
from trunkline.contracts.subjects import BUDGET, ROUTER, RunKey, filter_of
from trunkline.prices import Money, PriceBook
from trunkline.prices.rates import Rate, Rates
from trunkline.run import purse
from trunkline.run.replay import replay
from trunkline.worker import WorkerSettings, working
from trunkline_ledger.model_calls import Attempts, abandoned, prompted

F = TypeVar("F", bound=Fact)

CENT = 10**10
SAID = 10
"""Tokens of each reply."""


def per_token(dollars: str) -> Rates:
    return Rates(Rate(0), Rate(Money.parse(dollars).pico))


PRICES = PriceBook(
    {
        "house:large": per_token("0.001"),
        "house:spare": per_token("0.001"),
        "house:small": per_token("0.0001"),
        "house:free": per_token("0"),
    }
)
TIERS = {"small": ("house:small",), "large": ("house:large",), "spared": ("house:large", "house:spare")}


@dataclass
class Paid:
    """Replies with ten tokens; or does what `script` says for a call: fails so, or waits for `free`."""

    script: list[Exception | asyncio.Event | Callable[[ModelQuery], Awaitable[None]]] = field(default_factory=list)
    asked: list[ModelQuery] = field(default_factory=list)

    async def complete(self, query: ModelQuery, _: Callable[[str], None]) -> ModelReply:
        self.asked.append(query)
        match self.script.pop(0) if self.script else None:
            case Exception() as error:
                raise error
            case asyncio.Event() as free:
                await free.wait()
            case None:
                pass
            case work:
                await work(query)
        return ModelReply(model=query.model, text="Well.", usage=Usage(input_tokens=100, output_tokens=SAID))

    async def close(self) -> None: ...

    def resolve(self, name: str) -> tuple[str, ...]:
        return TIERS.get(name, (name,))


def agent(name: str = "plain", *, over_budget: OverBudgetPolicy = "refuse", **how: object) -> Agent:
    settings = {"model": "house:large", "max_output_tokens": 100} | how
    return Agent(name, over_budget=over_budget, **settings)  # type: ignore[arg-type]  # as each test has it


def limits(**dollars: str) -> BudgetSettings:
    """No limits but these."""
    kinds = ("run", "conversation", "user_day", "agent_day", "tenant_day", "tenant_month")
    others: dict[str, object] = dict.fromkeys(kinds, "none")
    return BudgetSettings.model_validate(others | dollars)


@contextlib.asynccontextmanager
async def hosting(
    platform: Platform,
    model: Paid,
    *agents: Agent,
    budgets: BudgetSettings | None = None,
    retries: int = 0,
    ack_wait: float = 10.0,
) -> AsyncIterator[None]:
    settings = WorkerSettings(model_retries=retries, ack_wait=ack_wait)
    async with working(platform.bus, agents, model, model.resolve, prices=PRICES, budgets=budgets, settings=settings):
        names = {each.name for each in agents}
        await wait_until(lambda: names <= set(platform.routes.agents()), f"the router knows {names}")
        yield


def of(events: Sequence[Event], kind: type[F]) -> list[F]:
    return [event.fact for event in events if isinstance(event.fact, kind)]


def prompts(events: Sequence[Event]) -> list[Prompt]:
    return of(events, Prompt)


def noted(events: Sequence[Event], what: str) -> list[Note]:
    return [note for note in of(events, Note) if note.what == what]


async def spent(platform: Platform, counters: Sequence[str]) -> set[str]:
    """What each of these counters stands at."""
    return {str(Money(count.pico)) for count in (await look(platform.bus, counters)).values()}


async def settled(platform: Platform, counters: Sequence[str], dollars: str) -> None:
    async def so() -> bool:
        return await spent(platform, counters) == {dollars}

    await wait_until(so, f"all of {counters} stand at {dollars}")


async def traffic(platform: Platform) -> int:
    return (await stream_info(platform.bus, BUDGET)).last_sequence


async def ask_as(platform: Platform, key: RunKey) -> None:
    await append(platform.bus, key.step("request", ROUTER), Request(text="hello", agent="plain", first=True))


async def test_a_call_holds_back_the_most_that_it_may_cost_and_counts_what_it_cost(platform: Platform) -> None:
    free = asyncio.Event()
    model = Paid([free])
    async with hosting(platform, model, agent(), budgets=BudgetSettings()):
        key = await platform.asked("hello", agent="plain")
        event = await platform.until(key, "prompt")
        assert isinstance(event.fact, Prompt)
        assert event.fact.reserved == "0.1"
        assert [counter.split(".")[2] for counter in event.fact.limits] == [
            "run",
            "conversation",
            "user-day",
            "tenant-day",
            "tenant-month",
        ]
        assert await spent(platform, event.fact.limits) == {"0.1"}
        free.set()
        assert (await platform.answer(key)).cost == "0.01"
        await settled(platform, event.fact.limits, "0.01")


async def test_a_free_call_holds_nothing_back_and_counts_nothing(platform: Platform) -> None:
    async with hosting(platform, Paid(), agent(model="house:free"), budgets=limits(run="0")):
        answer, events = await platform.ask("hello", agent="plain")
    assert answer == "Well."
    assert [(prompt.reserved, prompt.limits) for prompt in prompts(events)] == [("", ())]
    assert await traffic(platform) == 0


async def test_what_a_budget_does_not_allow_is_refused_before_it_is_paid_and_that_is_recorded(
    platform: Platform,
) -> None:
    model, plain = Paid(), agent()
    async with hosting(platform, model, plain, budgets=limits(run="0.09", tenant_day="5")):
        key = await platform.asked("hello", agent="plain")
        answer = await platform.answer(key)
    events = await platform.events_of(key.run, key.conversation)
    assert model.asked == []
    assert answer.error is not None
    assert answer.error.code == "over_budget"
    assert "The budget of this run has $0.09 of $0.09 left, and this call may cost $0.10." in answer.error.message
    assert "trunkline budget" in answer.error.hint
    assert [(prompt.model, prompt.reserved) for prompt in prompts(events)] == [("house:large", "0")]
    (fact,) = of(events, Model)
    assert fact.error is not None
    assert (fact.cost, fact.error.code, fact.error.data["spent"]) == ("0", "over_budget", False)
    (note,) = noted(events, "refused")
    assert {name: note.data[name] for name in ("kind", "limit", "left", "needed", "resets")} == {
        "kind": "run",
        "limit": "0.09",
        "left": "0.09",
        "needed": "0.1",
        "resets": "",
    }
    assert of_log(events) == {}
    replayed = await replay(plain, key, events)
    assert replayed.divergence is None


async def test_whoever_delegates_passes_on_what_the_budget_said(platform: Platform) -> None:
    """Through two agents; and code that catches the failure reads the same there."""
    careful = Agent("careful", delegates=["middle"])

    @careful.flow
    async def asks(run: Run) -> str:
        try:
            return await run.ask("middle", run.text)
        except RunFailed as error:
            return f"caught {error.data['code']} of {error.data['agent']}: {error.data['left']}"

    async with hosting(
        platform,
        Paid(),
        agent(),
        asking("middle", "plain"),
        asking("top", "middle"),
        careful,
        budgets=limits(run="0.09"),
    ):
        answer = await platform.answer(await platform.asked("hello", agent="top"))
        caught, _ = await platform.ask("hello", agent="careful")
    assert answer.error is not None
    assert answer.error.code == "over_budget"
    assert "trunkline budget" in answer.error.hint
    told = {name: answer.error.data[name] for name in ("kind", "limit", "left", "resets", "agent")}
    assert told == {"kind": "run", "limit": "0.09", "left": "0.09", "resets": "", "agent": "plain"}
    assert caught == "caught over_budget of plain: 0.09"


async def test_an_unknown_price_is_one_for_whoever_delegates_too(platform: Platform) -> None:
    async with hosting(platform, Paid(), agent(model="nobody:knows"), asking("top", "plain"), budgets=limits(run="1")):
        answer, _ = await platform.ask("hello", agent="top")
    assert answer.startswith("unknown_price: The price of nobody:knows is not known")


async def test_an_agent_whose_fallback_is_over_budget_too_says_so(platform: Platform) -> None:
    async with hosting(platform, Paid(), agent("top", fallback="plain"), agent(), budgets=limits(run="0.09")):
        answer, _ = await platform.ask("hello", agent="top")
    assert answer.startswith("over_budget: The budget of this run has $0.09 of $0.09 left")
    assert "Its fallback plain failed too: The budget of this run" in answer


def asking(name: str, other: str) -> Agent:
    """An agent that delegates all that it is asked."""
    made = Agent(name, delegates=[other])

    @made.flow
    async def asks(run: Run) -> str:
        return await run.ask(other, run.text)

    return made


async def test_a_refused_call_is_not_tried_again(platform: Platform) -> None:
    async with hosting(platform, Paid(), agent(model="spared"), budgets=limits(run="0.09"), retries=2):
        answer, events = await platform.ask("hello", agent="plain")
    assert answer.startswith("over_budget:")
    assert len(prompts(events)) == 1


async def test_nor_is_its_cost_unknown_when_the_worker_dies_before_it_says_why(platform: Platform) -> None:
    """What its prompt says is all that is known of it then, and it says that nothing can have been paid."""
    async with hosting(platform, Paid(), agent(), budgets=limits(run="0.09")):
        _, events = await platform.ask("hello", agent="plain")
    told = [event for event in events if not isinstance(event.fact, Model)]
    calls: Attempts = {}
    for event in told:
        if isinstance(event.fact, Prompt):
            rows = prompted(calls, event, event.fact, PRICES, ended=False)
            calls |= {(row.step, row.attempt): row for row in rows}
    (lost,) = abandoned(calls, told[-1].at, PRICES)
    assert (lost.cost, lost.cost_known) == (0, True)


async def test_of_a_chain_a_model_that_costs_less_is_asked_in_place_of_what_is_refused(platform: Platform) -> None:
    model, chain = Paid(), ["house:large", "house:spare", "house:small", "house:free"]
    async with hosting(platform, model, agent(model=chain), budgets=limits(run="0.09")):
        answer, events = await platform.ask("hello", agent="plain")
    assert answer == "Well."
    assert [query.model for query in model.asked] == ["house:small"]
    assert [(prompt.model, prompt.reserved) for prompt in prompts(events)] == [("house:small", "0.01")]
    (note,) = noted(events, "cheaper")
    assert (note.data["model"], note.data["kind"], note.data["needed"]) == ("house:small", "run", "0.1")


async def test_over_its_budget_an_agent_may_go_on_with_the_small_tier(platform: Platform) -> None:
    model = Paid()
    async with hosting(platform, model, agent(over_budget="cheaper"), budgets=limits(run="0.09")):
        answer, events = await platform.ask("hello", agent="plain")
    assert answer == "Well."
    assert [(query.model, query.max_output_tokens) for query in model.asked] == [("house:small", 100)]
    assert [note.data["model"] for note in noted(events, "cheaper")] == ["house:small"]


async def test_the_offline_model_which_stands_in_for_a_tier_that_nobody_named_is_not_one_to_go_on_with(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that it says is that it cannot answer."""
    monkeypatch.setitem(TIERS, "small", ("offline:small",))
    model = Paid()
    async with hosting(platform, model, agent(over_budget="cheaper"), budgets=limits(run="0.09")):
        answer, _ = await platform.ask("hello", agent="plain")
    assert answer.startswith("over_budget:")
    assert model.asked == []


async def test_and_then_with_a_short_answer(platform: Platform) -> None:
    """2,000 tokens of the small tier may cost $0.20, and 512 of them $0.0512."""
    model, wordy = Paid(), agent(over_budget="cheaper", max_output_tokens=2000, instructions="Be kind.")
    async with hosting(platform, model, wordy, budgets=limits(run="0.06")):
        answer, events = await platform.ask("hello", agent="plain")
    assert answer == "Well."
    (query,) = model.asked
    assert (query.model, query.max_output_tokens) == ("house:small", 512)
    assert query.instructions.startswith("Be kind.\n\nAnswer briefly")
    assert [prompt.reserved for prompt in prompts(events)] == ["0.0512"]
    assert noted(events, "cheaper")[0].data["max_output_tokens"] == 512


async def test_a_second_opinion_that_is_too_dear_is_not_asked_of_the_small_tier_again(platform: Platform) -> None:
    model = Paid()
    checked = agent(model="auto", check=lambda question, answer: False, over_budget="cheaper")
    async with hosting(platform, model, checked, budgets=limits(run="0.05")):
        said, events = await platform.ask("Anything")
    assert (said, [query.model for query in model.asked]) == ("Well.", ["house:small"])
    assert "$0.05" in noted(events, "kept")[0].data["why"]
    assert not noted(events, "cheaper")


async def test_when_nothing_is_cheap_enough_the_first_refusal_is_told(platform: Platform) -> None:
    async with hosting(platform, Paid(), agent(over_budget="cheaper"), budgets=limits(run="0.001")):
        answer, _ = await platform.ask("hello", agent="plain")
    assert "may cost $0.10" in answer


async def test_a_canned_answer_stands_in_when_the_budget_is_used_up(platform: Platform) -> None:
    async with hosting(platform, Paid(), agent(fallback=Say("Tomorrow.")), budgets=limits(run="0.01")):
        answer, _ = await platform.ask("hello", agent="plain")
    assert answer == "Tomorrow."


async def test_a_price_that_nobody_knows_is_refused_unless_it_is_allowed(platform: Platform) -> None:
    model, odd = Paid(), agent(model="house:odd")
    async with hosting(platform, model, odd, budgets=limits()):
        answer, events = await platform.ask("hello", agent="plain")
    (fact,) = of(events, Model)
    assert fact.error is not None
    assert answer == "unknown_price: The price of house:odd is not known."
    assert (fact.cost, fact.error.code, model.asked) == ("0", "unknown_price", [])
    assert '[prices."house:odd"]' in fact.error.hint
    async with hosting(platform, model, odd, budgets=BudgetSettings(unknown_price="allow")):
        answer, events = await platform.ask("hello", agent="plain")
    assert (answer, prompts(events)[0].reserved, of(events, Model)[0].cost) == ("Well.", "", "")


async def test_most_of_a_budget_used_up_is_noted_once(platform: Platform) -> None:
    async with hosting(platform, Paid(), agent(max_output_tokens=SAID), budgets=limits(user_day="0.06")):
        runs = [await platform.ask("hello", agent="plain") for _ in range(6)]
    warnings = [noted(events, "budget_warning") for _, events in runs]
    assert [len(each) for each in warnings] == [0, 0, 0, 0, 0, 1]
    data = warnings[-1][0].data
    assert (data["kind"], data["who"], data["limit"], data["spent"]) == ("user-day", "anonymous", "0.06", "0.05")
    assert data["resets"]


async def test_what_a_failure_counts(platform: Platform) -> None:
    """Nothing when nothing was spent; what its tokens cost; and all that was reserved when nobody knows."""
    failures = [
        ModelFailed("It is busy.", retryable=True, spent=False, retry_after=0.001),
        ModelFailed("It said nothing.", retryable=True, usage=Usage(output_tokens=3), retry_after=0.001),
        ModelFailed("It broke off.", retryable=True, retry_after=0.001),
    ]
    async with hosting(platform, Paid([*failures]), agent(), budgets=limits(run="0.3", tenant_day="5"), retries=3):
        answer, events = await platform.ask("hello", agent="plain")
        assert answer == "Well."
        await settled(platform, prompts(events)[0].limits, "0.113")
    assert set(of_log(events).values()) == {113 * CENT // 10}
    day = next(counter for counter in prompts(events)[0].limits if "tenant-day" in counter)
    assert overspent(events, {day: Money.parse("0.203")}) == []
    assert overspent(events, {day: Money.parse("0.202")})


async def test_a_run_is_not_refused_for_what_it_did_not_spend(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call may cost $0.10, and costs $0.01: three fit one after the other in $0.12, on however slow a bus."""
    settle = Hold.settle

    async def slowly(hold: Hold, cost: Money) -> None:
        await asyncio.sleep(0.3)
        await settle(hold, cost)

    monkeypatch.setattr(Hold, "settle", slowly)
    thinking = agent("thinking")

    @thinking.flow
    async def think(run: Run) -> str:
        for _ in range(3):
            await run.model("hello")
        return "thought"

    async with hosting(platform, Paid(), thinking, budgets=limits(run="0.12")):
        answer, events = await platform.ask("hello", agent="thinking")
        assert answer == "thought"
        await settled(platform, prompts(events)[0].limits, "0.03")


async def test_what_a_run_delegates_is_paid_from_its_budget(platform: Platform) -> None:
    boss, aide, clerk = (agent(name) for name in ("boss", "aide", "clerk"))

    @boss.flow
    async def lead(run: Run) -> str:
        return await run.ask("aide", "hello")

    @aide.flow
    async def pass_on(run: Run) -> str:
        return await run.ask("clerk", "hello")

    model = Paid()
    async with hosting(platform, model, boss, aide, clerk, budgets=limits(run="0.5", agent_day="1")):
        key = await platform.asked("hello", agent="boss")
        assert (await platform.answer(key)).text == "Well."
    async with hosting(platform, model, boss, aide, clerk, budgets=limits(run="0.05")):
        refused = await platform.answer(await platform.asked("hello", agent="boss"))
    assert refused.error is not None
    assert "The budget of this run has $0.05 of $0.05 left" in refused.error.message
    events = await fold(platform.bus, filter_of(conversation=key.conversation))
    (prompt,) = prompts(events)
    assert await spent(platform, prompt.limits) == {"0.01"}
    run, of_agent = prompt.limits
    whole = Spender("main", key.conversation, key.run, "", "clerk")
    assert run.endswith(token_of(whole.who("run")))
    assert of_agent.endswith(token_of(whole.who("agent-day")))


async def test_who_is_second_at_a_prompt_gives_back_what_he_held(platform: Platform) -> None:
    """As after a takeover that this worker does not know of yet."""
    key = RunKey.checked(new_run_id(), new_conversation_id())
    prompt = Prompt(model="house:large", input_hash="", attempt=1, carrier=1 << 40, delivery=9)
    await append(platform.bus, key.step("prompt", "plain", "1-1"), prompt)
    model, budgets = Paid(), limits(tenant_day="5")
    async with hosting(platform, model, agent(), budgets=budgets):
        await ask_as(platform, key)

        async def released() -> bool:
            return await traffic(platform) == 2

        await wait_until(released, "it is released")
        (day,) = await standings(platform.bus, budgets, "main", kinds=["tenant-day"])
        assert day.spent == Money()
    assert model.asked == []


async def test_a_reply_that_comes_second_is_noted_and_counted(platform: Platform) -> None:
    """Somebody took over and was quicker; what we paid is paid nevertheless."""

    async def overtake(_: ModelQuery) -> None:
        other = Model(model="house:large", input_hash="", attempt=2, text="Quicker.")
        await append(platform.bus, key.step("model", "plain", "1"), other)

    key, model = RunKey.checked(new_run_id(), new_conversation_id()), Paid([overtake])
    async with hosting(platform, model, agent(), budgets=limits(tenant_day="5")):
        await ask_as(platform, key)
        assert (await platform.answer(key)).text == "Quicker."
        events = await platform.events_of(key.run, key.conversation)
        (note,) = noted(events, "unused")
        assert (note.data["model"], note.data["cost"], note.data["spent"]) == ("house:large", "0.01", True)
        assert note.data["usage"]["output_tokens"] == SAID
        await settled(platform, prompts(events)[0].limits, "0.01")
    assert set(of_log(events).values()) == {CENT}


async def test_who_stood_still_while_it_reserved_does_not_pay(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may have given the money back meanwhile; so it is left to them to tell, and reserved once more."""
    model = Paid()
    monkeypatch.setattr(purse, "PAY_WITHIN", -1.0)
    async with hosting(platform, model, agent(), budgets=limits(tenant_day="5"), retries=1):
        answer, events = await platform.ask("hello", agent="plain")
    assert "stood still" in answer
    assert model.asked == []
    assert [note.data["spent"] for note in noted(events, "retry")] == [False]
    (fact,) = of(events, Model)
    assert fact.error is not None
    assert fact.error.data["spent"] is False
    assert set(of_log(events).values()) == {0}


async def test_a_run_that_is_cancelled_counts_what_it_may_have_cost(platform: Platform) -> None:
    model = Paid([asyncio.Event()])
    async with hosting(platform, model, agent(), budgets=limits(tenant_day="5")):
        key = await platform.asked("hello", agent="plain")
        await wait_until(lambda: bool(model.asked), "the model is asked")
        await platform.client.cancel(key.run, conversation=key.conversation)
        assert (await platform.answer(key)).error is not None
        events = await platform.events_of(key.run, key.conversation)
        await settled(platform, prompts(events)[0].limits, "0.1")
    assert set(of_log(events).values()) == {10 * CENT}


async def test_a_run_that_is_cancelled_between_two_tries_counts_what_the_first_cost(platform: Platform) -> None:
    busy = ModelFailed("It is busy.", retryable=True, spent=False, retry_after=60.0)
    async with hosting(platform, Paid([busy]), agent(), budgets=limits(tenant_day="5"), retries=1):
        key = await platform.asked("hello", agent="plain")
        await platform.until(key, "note")
        await platform.client.cancel(key.run, conversation=key.conversation)
        assert (await platform.answer(key)).error is not None
        events = await platform.events_of(key.run, key.conversation)
        await settled(platform, prompts(events)[0].limits, "0")
    (fact,) = of(events, Model)
    assert fact.error is not None
    assert (fact.error.code, fact.error.data["spent"]) == ("cancelled", False)
    assert set(of_log(events).values()) == {0}


async def test_and_its_answer_says_that_once(platform: Platform) -> None:
    """A note says what the failure cost, and so does the fact with which the call ends."""
    empty = ModelFailed("It said nothing.", retryable=True, usage=Usage(output_tokens=3), retry_after=60.0)
    async with hosting(platform, Paid([empty]), agent(), budgets=limits(tenant_day="5"), retries=1):
        key = await platform.asked("hello", agent="plain")
        await platform.until(key, "note")
        await platform.client.cancel(key.run, conversation=key.conversation)
        assert (await platform.answer(key)).cost == "0.003"


async def test_a_name_that_no_header_can_hold_is_counted_under_a_shorter_one(platform: Platform) -> None:
    """The bus breaks with whoever sends it a longer one, and with all that this process is at."""
    budgets = limits(user_day="0.15")
    platform.client.user = "é" * 200_000
    async with hosting(platform, Paid(), agent(), budgets=budgets):
        answers = [(await platform.ask("hello", agent="plain"))[0] for _ in range(2)]
        assert answers == ["Well.", "Well."]
        await set_limit(platform.bus, "main", "user-day", platform.client.user, Money.parse("0.02"), "op")

        async def one_of_them() -> bool:
            found = await standings(platform.bus, budgets, "main", kinds=["user-day"])
            return [(str(each.spent), str(each.limit), len(each.who)) for each in found] == [("0.02", "0.02", 200)]

        await wait_until(one_of_them, "the same user is counted and limited")


async def test_the_offline_model_sums_up_no_conversation_of_a_real_one(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody has named a small tier, it would put its excuse in the place of what was said."""
    monkeypatch.setitem(TIERS, "small", ("offline:small",))
    model, conversation = Paid(), new_conversation_id()
    async with hosting(platform, model, agent(history_tokens=200), budgets=limits()):
        for number in range(8):
            await platform.ask(f"Order {number}: {30 * 'blue '}", agent="plain", conversation=conversation)
    assert {query.model for query in model.asked} == {"house:large"}
    assert len(model.asked) > 8
