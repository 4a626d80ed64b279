"""The router: takes requests, lets them in, decides who answers, writes the task."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog
from faststream.nats import NatsBroker
from pydantic import BaseModel

from trunkline.bus import Bus, Lease, LeaseLoop, append, read_event
from trunkline.bus.consumers import of_router
from trunkline.bus.dead import parking
from trunkline.bus.registry import AGENTS, Roster
from trunkline.contracts.codec import encode
from trunkline.contracts.errors import BadMessage, TryAgain
from trunkline.contracts.messages import Answer, Failure, Request, Task
from trunkline.contracts.registry import AgentCard
from trunkline.contracts.subjects import CLIENT, RunKey, query
from trunkline.service import Service
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
        dispatch = self.dispatch(event.fact)
        if dispatch.refusal:
            if not self.routes.agents() and lease.delivery < PATIENCE and not event.fact.agent:
                raise TryAgain("No agent is running yet.")
            await self._refuse(key, dispatch.refusal)
        else:
            task = Task(user=event.fact.user, route=dispatch.route, deadline=event.fact.deadline)
            await append(self.bus, key.step("task", dispatch.agent), task, whoever=True)
        await lease.ack()

    def dispatch(self, request: Request) -> Dispatch:
        refusal = admit(request, max_question=self.settings.router_max_question)
        if refusal:
            return Dispatch(refusal=refusal)
        return decide(request, self.routes, confident=self.settings.router_confident)

    async def _refuse(self, key: RunKey, failure: Failure) -> None:
        log.info("refused", action="refused", run=key.run, code=failure.code)
        await append(self.bus, key.step("answer", CLIENT), Answer(error=failure))


def router_service(settings: RouterSettings) -> Service:
    roster = Roster(AgentCard)
    routes = Routes(roster, LexicalClassifier())

    @contextlib.asynccontextmanager
    async def work(bus: Bus) -> AsyncIterator[None]:
        router = Router(bus, routes, settings)
        loop = LeaseLoop(
            bus,
            of_router(),
            router.handle,
            park=parking(bus, "router"),
            slots=settings.router_slots,
            drain_seconds=settings.drain,
        )
        async with roster.watching(bus, AGENTS), loop.running():
            yield

    def edges(broker: NatsBroker) -> None:
        @broker.subscriber(query("router", "route"), description="Which agent would get a question, and why.")
        async def explain(question: Question) -> bytes:
            request = Request(text=question.text, agent=question.agent)
            refusal = admit(request, max_question=settings.router_max_question)
            found = (
                Dispatch(refusal=refusal) if refusal else decide(request, routes, confident=settings.router_confident)
            )
            return encode(found.refusal) if found.refusal else encode(Task(text=found.agent, route=found.route))

    return Service("router", settings, work, edges)
