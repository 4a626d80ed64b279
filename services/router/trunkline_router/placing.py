"""What becomes of a request: refused, kept waiting for its turn, answered again, or given to an agent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from trunkline.bus import Bus, Lease, append, read_event, recorded
from trunkline.bus.clock import ServerClock
from trunkline.contracts.errors import BadMessage, TryAgain
from trunkline.contracts.messages import Answer, Cancel, Failure, Note, Request, Task
from trunkline.contracts.subjects import CLIENT, ROUTER, RunKey
from trunkline.run.ending import cancelled, end_run
from trunkline_router.busy import busy, talked_over
from trunkline_router.deadline import deadline_of
from trunkline_router.deciding.decide import Dispatch, dispatch
from trunkline_router.deciding.routes import Routes
from trunkline_router.deciding.talk import partner_of
from trunkline_router.reuse.keys import question_of
from trunkline_router.runs.open_runs import WAITING, OpenRun, OpenRuns
from trunkline_router.runs.reader import Reader
from trunkline_router.settings import RouterSettings

if TYPE_CHECKING:
    from trunkline_router.deciding.hosted import HostedModel
    from trunkline_router.reuse.again import Again

log = structlog.get_logger("trunkline.router")

PATIENCE = 5
"""Deliveries for which a request waits for a first agent: at the start of a platform all services start at once."""


@dataclass(frozen=True)
class Asked:
    """A request as it stands on the log: its sequence there, and when it was stored."""

    key: RunKey
    request: Request
    sequence: int
    at: datetime


@dataclass
class Router:
    bus: Bus
    routes: Routes
    settings: RouterSettings
    open: OpenRuns
    reader: Reader
    clock: ServerClock
    hosted: HostedModel | None = None
    again: Again | None = None

    async def handle(self, lease: Lease) -> None:
        """Raises BadMessage, TryAgain, BusUnavailable."""
        event = await read_event(self.bus, lease.message)
        if not isinstance(event.fact, Request):
            raise BadMessage(f"{lease.message.subject} is not a request.")
        asked = Asked(RunKey.of(event.subject), event.fact, lease.sequence, lease.message.at)
        if (event.fact.first and lease.fresh) or await self._may_go(asked):
            await self._place(asked, patient=lease.delivery < PATIENCE)
        await lease.ack()

    async def place_parked(self, run: OpenRun) -> None:
        """The turn of a question that waited has come. Raises WireViolation, TryAgain, BusUnavailable."""
        event = await recorded(self.bus, str(run.key.step("request", ROUTER)))
        if event is None or not isinstance(event.fact, Request):
            raise TryAgain(f"The request of run {run.key.run} cannot be read.")
        await self._place(Asked(run.key, event.fact, event.sequence, event.at), patient=True)

    async def _may_go(self, asked: Asked) -> bool:
        """Whether no earlier question of the conversation is in the way; else it waits, and says so on the log.

        What was read of the log is enough to decide, once it goes up to the request itself. No earlier one can be
        added then. One that has an answer keeps it. One whose answer is still to be read makes the request wait; and
        the reader, which comes by that answer and by the note, in whichever order, sees with the second one of them
        that the request may go. Both are on the log, so any router sees it, also one that begins anew.
        """
        await self.reader.up_to(asked.sequence)
        run = self.open.get(asked.key)
        if run is None:
            return False
        earlier = self.open.earlier(run)
        order = asked.request.order or self.settings.router_order
        if not earlier or order == "parallel":
            return True
        if order == "replace":
            for each in earlier:
                await self._replace(each, asked.request.user)
            return True
        if len(earlier) >= self.settings.router_conversation_limit:
            await self._refuse(asked.key, talked_over(len(earlier)))
        else:
            behind = Note(what=WAITING, data={"behind": earlier[-1].key.run})
            await append(self.bus, asked.key.step("note", ROUTER), behind)
        return False

    async def _replace(self, run: OpenRun, by: str) -> None:
        cancel = Cancel(by=by, reason="A newer question of the conversation took its place.", code="replaced")
        written = await append(self.bus, run.key.cancel, cancel)
        said = written.event.fact if written.event else cancel
        failure = cancelled(said if isinstance(said, Cancel) else cancel)
        await end_run(self.bus, run.key, failure, at_least=max(run.asked, run.placed))

    async def _place(self, asked: Asked, *, patient: bool) -> None:
        """Give it to an agent or refuse it; one that has ended, or is about to, is left alone."""
        deadline = deadline_of(asked.request, asked.at, self.settings.limits)
        if isinstance(deadline, Failure):
            await self._refuse(asked.key, deadline)
            return
        await self.routes.settled()
        if self._is_settled(asked) or deadline <= self.clock.now():
            return
        found = await self._decide(asked)
        paid = (await self.hosted.paid(asked.key) or "") if self.hosted and found.route.asked else ""
        question = question_of(self.routes, asked.key.tenant, asked.request, found) if self.again else None
        if self.again and question and await self.again.serves(asked.key, asked.request, question, paid=paid):
            return
        if self._is_settled(asked):  # a decision may take seconds
            return
        refusal = found.refusal or self._busy(found.agent)
        if not refusal:
            await self._give(asked, found, deadline, cache=question.key if question else "")
        elif patient and not self.routes.choosable() and not asked.request.agent:
            raise TryAgain("No agent is running yet.")
        else:
            await self._refuse(asked.key, refusal, paid=paid)

    async def _decide(self, asked: Asked) -> Dispatch:
        request = asked.request
        alone = request.first or bool(request.agent)
        partner = "" if alone else await partner_of(self.bus, asked.key, self.open.partners)
        ask = self.hosted.for_run(asked.key, request.user) if self.hosted else None
        return await dispatch(request, self.routes, self.settings, partner=partner, ask=ask)

    def _is_settled(self, asked: Asked) -> bool:
        run = self.open.get(asked.key)
        return bool(run.placed or run.cancel) if run else self.open.has_ended(asked.key, asked.sequence)

    async def _give(self, asked: Asked, found: Dispatch, deadline: datetime, *, cache: str) -> None:
        request = asked.request
        task = Task(
            text=request.text,
            user=request.user,
            first=request.first,
            route=found.route,
            tier=found.tier,
            parts=found.parts,
            cache=cache,
            deadline=deadline,
        )
        self.open.count(asked.key, found.agent)
        self.open.sharing.lead(cache, asked.key, asked.sequence)
        try:
            await append(self.bus, asked.key.step("task", found.agent), task, whoever=True)
        except BaseException:
            self.open.take_back(asked.key)
            raise

    def _busy(self, agent: str) -> Failure | None:
        now = self.clock.now()
        if (waiting := self.open.at(agent)) >= self.settings.router_agent_limit:
            return busy(f"Agent {agent}", waiting, self.open.pace.per_second(now, agent))
        if (waiting := self.open.at_all()) >= self.settings.router_limit:
            return busy("The platform", waiting, self.open.pace.per_second(now))
        return None

    async def _refuse(self, key: RunKey, failure: Failure, *, paid: str = "") -> None:
        """`paid`: what it cost to find out, US dollars."""
        log.info("refused", action="refused", run=key.run, code=failure.code)
        await append(self.bus, key.step("answer", CLIENT), Answer(error=failure, cost=paid))
