"""The router: lets requests in, decides who answers, and sees to it that every run ends."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import msgspec
from faststream.nats import NatsBroker
from pydantic import BaseModel

from trunkline.bus import Bus, LeaseLoop
from trunkline.bus.clock import ServerClock
from trunkline.bus.consumers import of_router
from trunkline.bus.dead import parking
from trunkline.bus.registry import AGENTS
from trunkline.bus.roster import Roster
from trunkline.contracts.messages import Failure, Request, Route
from trunkline.contracts.registry import AgentCard
from trunkline.service import Service
from trunkline.service.edges import answer_queries
from trunkline_router.choice import best_classifier
from trunkline_router.decide import dispatch
from trunkline_router.keeper import Keeper
from trunkline_router.open_runs import OpenRuns
from trunkline_router.placing import Router
from trunkline_router.reader import Reader
from trunkline_router.routes import Routes
from trunkline_router.settings import RouterSettings


class Question(BaseModel):
    """Who would get this question?"""

    text: str
    agent: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer: an agent and the route, or why nobody."""

    agent: str = ""
    route: Route = Route()
    refusal: Failure | None = None


@contextlib.asynccontextmanager
async def routing(bus: Bus, routes: Routes, settings: RouterSettings) -> AsyncIterator[None]:
    """Route requests and look after their runs while inside. Raises BusUnavailable."""
    open_runs, clock = OpenRuns(settings.limits), ServerClock()
    reader = Reader(bus, open_runs)
    router = Router(bus, routes, settings, open_runs, reader, clock)
    keeper = Keeper(bus, open_runs, routes, clock, router.place_parked, queue_seconds=settings.router_queue_seconds)
    loop = LeaseLoop(
        bus,
        of_router(),
        router.handle,
        park=parking(bus, "router"),
        slots=settings.router_slots,
        drain_seconds=settings.drain,
    )
    async with (
        clock.running(bus),
        routes.roster.watching(bus, AGENTS),
        routes.learning(),
        reader.reading(keeper.look),
        keeper.keeping(),
        loop.running(),
    ):
        yield


def router_service(settings: RouterSettings) -> Service:
    routes = Routes(Roster(AgentCard), best_classifier())

    def work(bus: Bus) -> AbstractAsyncContextManager[None]:
        return routing(bus, routes, settings)

    def edges(broker: NatsBroker) -> None:
        async def explain(question: Question) -> Explanation:
            await routes.settled()
            found = await dispatch(Request(text=question.text, agent=question.agent), routes, settings)
            return Explanation(agent=found.agent, route=found.route, refusal=found.refusal)

        answer_queries(broker, "router", "route", Question, explain, "Which agent would get a question, and why.")

    return Service("router", settings, work, edges)
