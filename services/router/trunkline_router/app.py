"""The router: lets requests in, decides who answers, and sees to it that every run ends."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from faststream.nats import NatsBroker

from trunkline.budget.refunds import Refunds
from trunkline.bus import Bus, LeaseLoop
from trunkline.bus.clock import ServerClock
from trunkline.bus.consumers import of_router
from trunkline.bus.dead import parking
from trunkline.bus.registry import AGENTS
from trunkline.bus.roster import Roster
from trunkline.contracts.registry import AgentCard
from trunkline.service import Service
from trunkline.service.edges import answer_queries
from trunkline_router.classifiers.choice import best_classifier
from trunkline_router.deciding.backtest import Backtest, Trial
from trunkline_router.deciding.explain import Explanation, Question, explain
from trunkline_router.deciding.routes import Routes
from trunkline_router.learning.lessons import Lessons
from trunkline_router.learning.study import Study
from trunkline_router.placing import Router
from trunkline_router.reuse.reusing import reusing
from trunkline_router.runs.keeper import Keeper
from trunkline_router.runs.open_runs import OpenRuns
from trunkline_router.runs.reader import Reader
from trunkline_router.settings import RouterSettings


@contextlib.asynccontextmanager
async def routing(bus: Bus, routes: Routes, settings: RouterSettings) -> AsyncIterator[None]:
    """Route requests and look after their runs while inside. Raises BusUnavailable."""
    open_runs, clock = OpenRuns(settings.limits), ServerClock()
    reuse = reusing(bus, routes, open_runs, clock, settings)
    reader = Reader(bus, open_runs, reuse.kept.take if reuse else None)
    router = Router(bus, routes, settings, open_runs, reader, clock, again=reuse.again if reuse else None)
    keeper = Keeper(bus, open_runs, routes, clock, router.place_parked, queue_seconds=settings.router_queue_seconds)
    days = settings.router_learn_days
    routes.lessons = Lessons(operators=settings.operators, days=days)
    study = Study(bus, clock, routes.lessons, routes.teach, days=days)
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
        reuse.running() if reuse else contextlib.nullcontext(),
        reader.reading(keeper.look),
        keeper.keeping(),
        study.studying(),
        Refunds(bus).refunding(),
        _with_hosted_model(router),
        loop.running(),
    ):
        yield


@contextlib.asynccontextmanager
async def _with_hosted_model(router: Router) -> AsyncIterator[None]:
    """If the settings name one. Raises InvalidSettings."""
    if not router.settings.router_model:
        yield
        return
    from trunkline_router.deciding.hosted import (
        open_hosted,  # a router that asks no model needs no prices and no providers
    )

    async with open_hosted(router.bus, router.routes, router.settings, router.clock) as router.hosted:
        yield


def router_service(settings: RouterSettings) -> Service:
    routes = Routes(Roster(AgentCard), best_classifier())

    def work(bus: Bus) -> AbstractAsyncContextManager[None]:
        return routing(bus, routes, settings)

    def edges(broker: NatsBroker) -> None:
        async def explained(question: Question) -> Explanation:
            return await explain(question, routes, settings, service.bus)

        answer_queries(broker, "router", "route", Question, explained, "Which agent would get a question, and why.")
        backtest = Backtest(routes, settings, best_classifier, lambda: service.bus)
        answer_queries(broker, "router", "backtest", Trial, backtest, "Who would get questions, by other settings.")

    service = Service("router", settings, work, edges)
    return service
