"""A backtest shows the candidate's hosted model what the candidate would: told before, budgeted, and in the bill."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform, routed
from tests.integration.router.test_hosted import COST, PRICES, UNSURE, asking
from tests.provider import refuses, says
from trunkline.budget import BudgetSettings
from trunkline.budget.book import standings
from trunkline.bus import Bus, StoredMessage, follow, read_event
from trunkline.bus.clock import ServerClock
from trunkline.bus.streams import stream_info
from trunkline.contracts.errors import UnknownAgent
from trunkline.contracts.messages import Answer
from trunkline.contracts.subjects import TRUNK, Subject
from trunkline.prices import Money
from trunkline_router.classifiers.choice import best_classifier
from trunkline_router.deciding.backtest import Backtest, Candidate, Hosted, Trial, Tried, Tryout
from trunkline_router.settings import RouterSettings

CERTAIN = "I want my money back"


async def written_after(bus: Bus, sequence: int) -> list[StoredMessage]:
    async for batch in follow(bus, TRUNK, after=sequence):
        return batch
    return []


async def spenders(bus: Bus) -> dict[tuple[str, str], Money]:
    async with ServerClock().running(bus):
        return {(each.kind, each.who): each.spent for each in await standings(bus, BudgetSettings(), "main")}


async def tried(platform: Platform, folder: Path, hosted: Literal["left", "priced", "asked"]) -> Tryout:
    settings = RouterSettings.model_validate({"config": str(folder / "trunkline.toml"), "router_confident": 0.99})
    backtest = Backtest(platform.routes, settings, best_classifier, lambda: platform.bus)
    questions = [Tried(text=UNSURE), Tried(text=CERTAIN), Tried(text=UNSURE)]
    candidate = Candidate(router_model="house:m", router_confident=0.99)
    since = datetime.now(UTC)
    return await backtest(Trial(since=since, questions=questions, candidate=candidate, hosted=hosted, user="ada"))


async def test_nothing_is_asked_or_written_before_somebody_says_so(bus: Bus, tmp_path: Path) -> None:
    async with asking(bus, tmp_path, says("shipping"), router_model="") as (platform, provider):
        before = (await stream_info(bus, TRUNK)).last_sequence
        left, priced = await tried(platform, tmp_path, "left"), await tried(platform, tmp_path, "priced")
        assert (await stream_info(bus, TRUNK)).last_sequence == before
    assert [each.unasked for each in left.candidate] == [True, False, True]
    assert ([each.unasked for each in priced.candidate], left.hosted) == ([True, False, True], None)
    assert priced.hosted
    assert (Money.parse(priced.hosted.cost) > Money.parse(COST), priced.hosted.unknown) == (True, 0)
    assert provider.questions == []


async def test_what_it_says_decides_and_is_paid_by_who_tries(bus: Bus, tmp_path: Path) -> None:
    async with asking(bus, tmp_path, says("shipping"), router_model="") as (platform, provider):
        before = (await stream_info(bus, TRUNK)).last_sequence
        found = await tried(platform, tmp_path, "asked")
        assert [(each.agent, each.unasked) for each in found.candidate] == [
            ("shipping", False),
            ("billing", False),
            ("shipping", False),
        ]
        assert (found.candidate[0].source, found.now[0].source) == ("model:house:m", "fallback")
        assert (found.hosted, len(provider.questions)) == (Hosted(cost=COST), 1)

        async def settled() -> bool:
            return (await spenders(bus)).get(("user-day", "ada")) == Money.parse(COST)

        await wait_until(settled, "the budgets know what it cost")
        kinds = [Subject.parse(each.subject).kind for each in await written_after(bus, before)]
    assert kinds == ["request", "note", "note", "answer"], "and nobody routed it"


async def test_one_that_says_nothing_leaves_it_at_that(bus: Bus, tmp_path: Path) -> None:
    async with asking(bus, tmp_path, refuses(500), router_model="") as (platform, _):
        found = await tried(platform, tmp_path, "asked")
    assert [each.unasked for each in found.candidate] == [True, False, True]
    assert found.candidate[0].agent == found.now[0].agent == "anything"


async def test_what_the_budgets_refuse_is_not_shown_and_says_why(bus: Bus, tmp_path: Path) -> None:
    toml = f'{PRICES}[budgets]\nuser_day = "0.0001"\n'
    async with asking(bus, tmp_path, says("shipping"), router_model="", toml=toml) as (platform, provider):
        before = (await stream_info(bus, TRUNK)).last_sequence
        found = await tried(platform, tmp_path, "asked")
        facts = [(await read_event(bus, each)).fact for each in await written_after(bus, before)]
    (answer,) = [fact for fact in facts if isinstance(fact, Answer)]
    assert provider.questions == []
    assert [(each.unasked, "budget of user ada" in each.why) for each in found.candidate] == [
        (True, True),
        (False, False),
        (True, True),
    ]
    assert answer.error
    assert (answer.error.code, answer.cost, found.hosted) == ("over_budget", "0", Hosted())


async def test_without_an_agent_nothing_can_be_decided(bus: Bus, tmp_path: Path) -> None:
    async with routed(bus) as platform:
        with pytest.raises(UnknownAgent, match="No agent is running"):
            await tried(platform, tmp_path, "left")


async def test_an_unknown_price_is_said_to_be_unknown_and_not_to_be_nothing(bus: Bus, tmp_path: Path) -> None:
    toml = '[budgets]\nunknown_price = "allow"\n'
    async with asking(bus, tmp_path, says("shipping"), router_model="", toml=toml) as (platform, _):
        priced, found = await tried(platform, tmp_path, "priced"), await tried(platform, tmp_path, "asked")
    assert (priced.hosted, found.hosted) == (Hosted(unknown=1), Hosted(unknown=1))
    assert found.candidate[0].agent == "shipping"
