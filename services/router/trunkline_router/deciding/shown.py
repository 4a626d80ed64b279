"""Questions of a backtest that are shown to a hosted model. Each is a run of its own, whose request nobody routes: so
what it costs is held back in the budgets of who tries, and stands on the log and in the bill like all else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from trunkline.bus import Bus, append
from trunkline.bus.clock import ServerClock
from trunkline.contracts.errors import BusUnavailable, TrunklineError
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Failure, Request
from trunkline.contracts.subjects import CLIENT, ROUTER, TRIED, RunKey
from trunkline.prices import Money
from trunkline_router.classifiers.classify import Verdict
from trunkline_router.deciding.hosted import NONE, HostedModel, NotAsked, open_hosted
from trunkline_router.deciding.routes import Routes
from trunkline_router.settings import RouterSettings

AT_ONCE = 8

Left = Mapping[str, Verdict]
"""Questions of which the router's own classifier is not sure, and what it makes of them."""
Heard = dict[str, Verdict | TrunklineError]
"""What the hosted model says of questions, or why it was not shown them; without those of which it says nothing."""


@dataclass(frozen=True)
class Bill:
    """`cost`: as far as it is known; without `unknown` calls."""

    cost: Money
    unknown: int


@dataclass(frozen=True)
class Showing:
    bus: Bus
    hosted: HostedModel
    tenant: str
    user: str

    def most(self, left: Left) -> Bill:
        """What it may cost to show all of them. Raises UnknownPrice."""
        return _bill([self.hosted.most(question, verdict) for question, verdict in left.items()])

    async def said(self, left: Left) -> tuple[Heard, Bill]:
        """What the model says of them, and what that cost. Raises BusUnavailable."""
        conversation, slots = new_conversation_id(), asyncio.Semaphore(AT_ONCE)
        lost: list[BusUnavailable] = []

        async def one(question: str, verdict: Verdict) -> tuple[Verdict | TrunklineError | None, Money | None]:
            async with slots:
                if lost:  # nobody will hear of the rest: it is not paid
                    raise lost[0]
                try:
                    return await self._one(RunKey.checked(new_run_id(), conversation, self.tenant), question, verdict)
                except BusUnavailable as error:
                    lost.append(error)
                    raise

        asking = [asyncio.create_task(one(*each), name="show a question") for each in left.items()]
        await asyncio.gather(*asking, return_exceptions=True)  # those under way are recorded to their end
        found = [task.result() for task in asking]
        heard = {question: said for question, (said, _) in zip(left, found, strict=True) if said}
        return heard, _bill([cost for _, cost in found])

    async def _one(
        self, key: RunKey, question: str, verdict: Verdict
    ) -> tuple[Verdict | TrunklineError | None, Money | None]:
        """What is known of it then, and what it cost, None when nobody knows."""
        await append(self.bus, key.step("request", TRIED), Request(text=question, user=self.user, first=True))
        try:
            said = await self.hosted.classify(key, self.user, question, verdict)
        except NotAsked as refused:
            failure = Failure.of(refused.reason)
            await append(self.bus, key.step("answer", CLIENT), Answer(agent=ROUTER, error=failure, cost=str(Money())))
            return refused.reason, Money()
        paid = await self.hosted.paid(key)
        cost = str(Money()) if paid is None else paid
        text = (said.label or NONE) if said else ""
        await append(self.bus, key.step("answer", CLIENT), Answer(agent=ROUTER, text=text, cost=cost))
        return said, Money.parse(cost) if cost else None


def _bill(costs: Sequence[Money | None]) -> Bill:
    known = [cost for cost in costs if cost is not None]
    return Bill(sum(known, Money()), len(costs) - len(known))


@contextlib.asynccontextmanager
async def showing(
    bus: Bus, routes: Routes, settings: RouterSettings, *, tenant: str, user: str
) -> AsyncIterator[Showing]:
    """To the model that the settings name. Raises InvalidSettings, BusUnavailable."""
    clock = ServerClock()
    async with clock.running(bus), open_hosted(bus, routes, settings, clock) as hosted:
        yield Showing(bus, hosted, tenant, user)
