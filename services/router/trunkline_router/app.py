"""The router: takes requests, lets them in, decides who answers, writes the task."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import msgspec
import structlog
from faststream.nats import NatsBroker
from pydantic import BaseModel

from trunkline.bus import Bus, Lease, LeaseLoop, append, read_event, recorded
from trunkline.bus.consumers import of_router
from trunkline.bus.dead import parking
from trunkline.bus.registry import AGENTS
from trunkline.bus.roster import Roster
from trunkline.contracts.errors import BadMessage, TryAgain
from trunkline.contracts.messages import Answer, Failure, Request, Route, Task
from trunkline.contracts.registry import AgentCard
from trunkline.contracts.subjects import CLIENT, RunKey
from trunkline.service import Service
from trunkline.service.edges import answer_queries
from trunkline_router.decide import Dispatch, admit, decide
from trunkline_router.lexical import LexicalClassifier
from trunkline_router.routes import Routes
from trunkline_router.settings import RouterSettings

log = structlog.get_logger("trunkline.router")

PATIENCE = 5
"""Deliveries for which a request waits for a first agent: at the start of a platform all services start at once."""


class Question(BaseModel):
    """Who would get this question?"""

    text: str
    agent: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer: an agent and the route, or why nobody."""

    agent: str = ""
    route: Route = Route()
    refusal: Failure | None = None


@dataclass
class Router:
    bus: Bus
    routes: Routes
    settings: RouterSettings

    async def handle(self, lease: Lease) -> None:
        event = await read_event(self.bus, lease.message)
        if not isinstance(event.fact, Request):
            raise BadMessage(f"{lease.message.subject} is not a request.")
        key = RunKey.of(event.subject)
        if not lease.fresh and await recorded(self.bus, str(key.step("answer", CLIENT))):
            await lease.ack()
            return
        found = dispatch(event.fact, self.routes, self.settings)
        if found.refusal:
            if not self.routes.agents() and lease.delivery < PATIENCE and not event.fact.agent:
                raise TryAgain("No agent is running yet.")
            await self._refuse(key, found.refusal)
        else:
            task = _task(event.fact, found.route)
            await append(self.bus, key.step("task", found.agent), task, whoever=True)
        await lease.ack()

    async def _refuse(self, key: RunKey, failure: Failure) -> None:
        log.info("refused", action="refused", run=key.run, code=failure.code)
        await append(self.bus, key.step("answer", CLIENT), Answer(error=failure))


def _task(request: Request, route: Route) -> Task:
    return Task(text=request.text, user=request.user, first=request.first, route=route, deadline=request.deadline)


def dispatch(request: Request, routes: Routes, settings: RouterSettings) -> Dispatch:
    """Admission first, then the decision."""
    refusal = admit(request, max_question=settings.router_max_question)
    if refusal:
        return Dispatch(refusal=refusal)
    return decide(request, routes, confident=settings.router_confident)


@contextlib.asynccontextmanager
async def routing(bus: Bus, routes: Routes, settings: RouterSettings) -> AsyncIterator[None]:
    """Route requests while inside."""
    loop = LeaseLoop(
        bus,
        of_router(),
        Router(bus, routes, settings).handle,
        park=parking(bus, "router"),
        slots=settings.router_slots,
        drain_seconds=settings.drain,
    )
    async with routes.roster.watching(bus, AGENTS), loop.running():
        yield


def router_service(settings: RouterSettings) -> Service:
    routes = Routes(Roster(AgentCard), LexicalClassifier())

    def work(bus: Bus) -> AbstractAsyncContextManager[None]:
        return routing(bus, routes, settings)

    def edges(broker: NatsBroker) -> None:
        async def explain(question: Question) -> Explanation:
            found = dispatch(Request(text=question.text, agent=question.agent), routes, settings)
            return Explanation(agent=found.agent, route=found.route, refusal=found.refusal)

        answer_queries(broker, "router", "route", Question, explain, "Which agent would get a question, and why.")

    return Service("router", settings, work, edges)
