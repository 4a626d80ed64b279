"""What a model call cost stands on the log, with the version of the prices; later prices change nothing about it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform, routed
from tests.provider import Provider, Reply, refuses, says
from trunkline import Agent, Run
from trunkline.budget import BudgetSettings
from trunkline.bus import Bus, append
from trunkline.contracts.codec import Event
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Model, Note, Request
from trunkline.contracts.subjects import ROUTER, RunKey
from trunkline.models import ModelSettings, open_models
from trunkline.prices import Money, PriceBook
from trunkline.worker import working
from trunkline_ledger.app import the_log
from trunkline_ledger.queries import Queries
from trunkline_ledger.rebuild import compare, rebuild
from trunkline_ledger.store import open_store

HOUSE = """
[models]
retries = 1
[providers.house]
base_url = "{url}/v1"
"""
PRICES = """
[prices."house:m"]
input_per_million = "{0}"
output_per_million = 2.5
"""
# The provider counts 12 tokens in and 9 out.
CALL = Money.parse("0.0000345")


@contextlib.asynccontextmanager
async def a_provider(*replies: Reply) -> AsyncIterator[Provider]:
    async with Provider(replies).running() as provider:
        yield provider


@contextlib.asynccontextmanager
async def hosting(platform: Platform, config: Path, *agents: Agent) -> AsyncIterator[PriceBook]:
    """A worker that begins with what the settings file says now."""
    models, prices = open_models(ModelSettings.load(config)), PriceBook.load(config)
    budgets = BudgetSettings.load(config)
    async with working(platform.bus, agents, models, models.resolve, prices=prices, budgets=budgets, version="1"):
        names = {agent.name for agent in agents}
        await wait_until(lambda: names <= set(platform.routes.agents()), "the router knows the agents")
        yield prices
    await models.close()


def model_in(events: list[Event]) -> Model:
    (fact,) = [event.fact for event in events if isinstance(event.fact, Model)]
    return fact


async def cents(bus: Bus, url: str, prices: PriceBook) -> str:
    await rebuild(url, await the_log(bus), prices)
    async with open_store(url) as store:
        return (await Queries(store).totals()).amounts.cost


async def test_a_price_change_counts_for_the_calls_after_it_and_for_no_other(
    platform: Platform, tmp_path: Path
) -> None:
    config, agent = tmp_path / "trunkline.toml", Agent("plain", model="house:m")
    found: list[Model] = []
    versions: list[str] = []
    async with a_provider(says("Well.")) as provider:
        for dollars in ("1", "1000"):
            config.write_text(HOUSE.format(url=provider.url) + PRICES.format(dollars))
            async with hosting(platform, config, agent) as prices:
                _, events = await platform.ask("hello", agent="plain")
                found.append(model_in(events))
                versions.append(prices.version)
    assert [fact.cost for fact in found] == ["0.0000345", "0.0120225"]
    assert [fact.prices for fact in found] == versions
    assert versions[0] != versions[1]
    old, new = (f"sqlite+aiosqlite:///{tmp_path / name}.db" for name in ("old", "new"))
    assert await cents(platform.bus, old, PriceBook()) == "0.012057"
    assert await cents(platform.bus, new, PriceBook.load(config)) == "0.012057"
    assert (await compare(old, new)).differing == ("position",)


async def test_a_call_that_nobody_can_price_says_nothing_of_its_cost(platform: Platform, tmp_path: Path) -> None:
    config, agent = tmp_path / "trunkline.toml", Agent("plain", model="house:m")
    async with a_provider(says("Well.")) as provider:
        config.write_text(HOUSE.format(url=provider.url) + '[budgets]\nunknown_price = "allow"\n')
        async with hosting(platform, config, agent):
            answer, events = await platform.ask("hello", agent="plain")
    assert answer == "Well."
    assert (model_in(events).cost, model_in(events).prices) == ("", "")
    assert model_in(events).usage.input_tokens == 12


async def test_a_free_model_cost_nothing_and_says_so(platform: Platform) -> None:
    async with platform.run(Agent("plain")):
        _, events = await platform.ask("hello", agent="plain")
    assert (model_in(events).cost, model_in(events).prices) == ("0", PriceBook().version)


async def test_a_failed_attempt_whose_tokens_were_counted_says_what_it_cost(platform: Platform, tmp_path: Path) -> None:
    """An empty reply is paid, and tried again; a refused request has no cost to speak of."""
    config, agent = tmp_path / "trunkline.toml", Agent("plain", model="house:m")
    async with a_provider(says(""), says("Well.")) as provider:
        config.write_text(HOUSE.format(url=provider.url) + PRICES.format("1"))
        async with hosting(platform, config, agent) as prices:
            _, events = await platform.ask("hello", agent="plain")
    (note,) = [event.fact for event in events if isinstance(event.fact, Note)]
    assert (note.data["cost"], note.data["prices"]) == ("0.0000345", prices.version)
    async with a_provider(refuses(500), says("Well.")) as provider:
        config.write_text(HOUSE.format(url=provider.url) + PRICES.format("1"))
        async with hosting(platform, config, agent):
            _, events = await platform.ask("hello", agent="plain")
    (note,) = [event.fact for event in events if isinstance(event.fact, Note)]
    assert "cost" not in note.data


ROUTED = """
[prices."house:router"]
input_per_million = "1"
output_per_million = 2.5
"""


async def test_an_answer_says_all_that_its_run_cost_the_routers_own_question_too(bus: Bus, tmp_path: Path) -> None:
    """A run with a delegated one, a refusal, one of a single turn, an answer given again: as the ledger adds up."""
    config = tmp_path / "trunkline.toml"
    shipping = Agent("shipping", description="Parcels", model="house:m", delegates=["billing"])
    billing = Agent("billing", description="Invoices", model="house:m")

    @shipping.flow
    async def ask_around(run: Run) -> str:
        await run.model("Where is it?")
        return await run.ask("billing", "Is it paid?")

    told: dict[str, float | str] = {
        "router_model": "house:router",
        "config": str(config),
        "router_confident": 0.99,
        "router_cache": "bus",
    }
    url = f"sqlite+aiosqlite:///{tmp_path / 'ledger'}.db"
    replies = ["shipping", "It is here.", "Yes.", "none", "billing", "So it is.", "shipping"]
    async with a_provider(*map(says, replies)) as house:
        config.write_text(HOUSE.format(url=house.url) + PRICES.format("1") + ROUTED)
        answers: list[Answer] = []
        for texts in (
            ("Has the neighbour paid for my parcel", "Who won the cup in 1954", "Is it for them to pay"),
            ("has the neighbour paid for my parcel?",),
        ):
            async with routed(bus, **told) as platform, hosting(platform, config, shipping, billing):
                answers += [await ended(platform, text) for text in texts]
        total = await cents(bus, url, PriceBook.load(config))
    assert [(answer.source, answer.error and answer.error.code) for answer in answers] == [
        ("", None),
        ("", "nobody_fits"),
        ("", None),
        ("cache", None),
    ]
    assert [Money.parse(answer.cost) for answer in answers] == [Money(calls * CALL.pico) for calls in (3, 1, 2, 1)]
    assert Money.parse(total) == Money(7 * CALL.pico)


async def ended(platform: Platform, text: str) -> Answer:
    """How a question of the same user is answered."""
    key = RunKey.checked(new_run_id(), new_conversation_id())
    await append(platform.bus, key.step("request", ROUTER), Request(text=text, user="ann", first=True))
    return await platform.answer(key)
