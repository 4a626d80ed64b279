"""The router hosts what gives back the money that crashes have left."""

from __future__ import annotations

import functools

import pytest

from tests.conftest import wait_until
from tests.integration.budget.conftest import anna, dollars, new_call, totals
from trunkline.budget import Budgets, BudgetSettings
from trunkline.budget.refunds import Refunds
from trunkline.bus import Bus
from trunkline.bus.roster import Roster
from trunkline.contracts.registry import AgentCard
from trunkline_router import app
from trunkline_router.classifiers.lexical import LexicalClassifier
from trunkline_router.deciding.routes import Routes
from trunkline_router.settings import RouterSettings


async def test_what_a_dead_worker_held_is_given_back(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "Refunds", functools.partial(Refunds, grace=0.2))
    async with Budgets(BudgetSettings()).running(bus) as budgets:
        await budgets.reserve(anna(), dollars("0.5"), call=str(new_call()))

    async def is_given_back() -> bool:
        return set((await totals(bus)).values()) == {"0"}

    async with app.routing(bus, Routes(Roster(AgentCard), LexicalClassifier()), RouterSettings(nats_url=bus.url)):
        await wait_until(is_given_back, "nothing to be held")
