"""The router with its encoder, on a real bus: whoever registers is asked what it is for."""

from __future__ import annotations

from tests.conftest import wait_until
from tests.unit.router.desk import AGENTS as DESK
from trunkline.bus import Bus
from trunkline.bus.registry import AGENTS, registered
from trunkline.bus.roster import Roster
from trunkline.contracts.messages import Request
from trunkline.contracts.registry import AgentCard
from trunkline_router.app import routing
from trunkline_router.classifiers.choice import best_classifier
from trunkline_router.deciding.decide import dispatch
from trunkline_router.deciding.routes import Routes
from trunkline_router.settings import RouterSettings


def card(name: str) -> AgentCard:
    description, examples, _ = DESK[name]
    return AgentCard(agent=name, worker="w", description=description, examples=examples)


async def test_agents_that_come_are_learnt_and_asked_in_words_that_they_never_used(bus: Bus) -> None:
    routes, settings = Routes(Roster(AgentCard), best_classifier()), RouterSettings(nats_url=bus.url)
    first = {f"{name}.w": card(name) for name in ("billing", "weather", "developer")}

    async def asked(question: str) -> tuple[str, str]:
        found = await dispatch(Request(text=question), routes, settings)
        return found.agent, found.route.source

    async with registered(bus, AGENTS, first), routing(bus, routes, settings):
        assert await asked("do I need an umbrella in London today") == ("weather", "embedding")
        assert await asked("deploy version 2.3 to staging") == ("developer", "embedding")
        async with registered(bus, AGENTS, {"accounts.w": card("accounts")}):
            await wait_until(lambda: "accounts" in routes.agents(), "the router hears of the fourth")
            await routes.settled()

            async def learnt() -> bool:
                return await asked("it says my login is invalid") == ("accounts", "embedding")

            await wait_until(learnt, "it is learnt")
        await wait_until(lambda: "accounts" not in routes.agents(), "the router hears that it left")
        assert (await asked("it says my login is invalid"))[0] != "accounts"
