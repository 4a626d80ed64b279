"""Questions of a backtest that are shown to a hosted model. Each is a run of its own, whose request nobody routes: so
what it costs is held back in the budgets of who tries, and stands on the log and in the bill like all else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from trunkline.bus import Bus, append
from trunkline.bus.clock import ServerClock
from trunkline.contracts.errors import TryAgain
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Request
from trunkline.contracts.subjects import CLIENT, ROUTER, RunKey
from trunkline.prices import Money
from trunkline_router.classifiers.classify import Verdict
from trunkline_router.deciding.hosted import NONE, HostedModel, open_hosted
from trunkline_router.deciding.routes import Routes
from trunkline_router.settings import RouterSettings

TRIED = "backtest"
"""Whom such a request is for."""
AT_ONCE = 8

Left = Mapping[str, Verdict]
"""Questions of which the router's own classifier is not sure, and what it makes of them."""


@dataclass(frozen=True)
class Showing:
    bus: Bus
    hosted: HostedModel
    tenant: str
    user: str

    def most(self, left: Left) -> Money:
        """What it may cost to show all of them. Raises UnknownPrice."""
        return sum((self.hosted.most(question, verdict) for question, verdict in left.items()), Money())

    async def said(self, left: Left) -> tuple[dict[str, Verdict], Money]:
        """What the model says of them, without those of which it says nothing or that the budgets refuse; and what that
        cost. Raises BusUnavailable.
        """
        conversation, slots = new_conversation_id(), asyncio.Semaphore(AT_ONCE)

        async def one(question: str, verdict: Verdict) -> tuple[Verdict | None, Money]:
            async with slots:
                return await self._one(RunKey.checked(new_run_id(), conversation, self.tenant), question, verdict)

        found = await asyncio.gather(*(one(*each) for each in left.items()))
        said = {question: verdict for question, (verdict, _) in zip(left, found, strict=True) if verdict}
        return said, sum((cost for _, cost in found), Money())

    async def _one(self, key: RunKey, question: str, verdict: Verdict) -> tuple[Verdict | None, Money]:
        await append(self.bus, key.step("request", TRIED), Request(text=question, user=self.user, first=True))
        said: Verdict | None = None
        with contextlib.suppress(TryAgain):  # another router is not asking for this run: the log was slow
            said = await self.hosted.for_run(key, self.user)(question, verdict)
        cost = await self.hosted.paid(key) or str(Money())
        text = (said.label or NONE) if said else ""
        await append(self.bus, key.step("answer", CLIENT), Answer(agent=ROUTER, text=text, cost=cost))
        return said, Money.parse(cost)


@contextlib.asynccontextmanager
async def showing(
    bus: Bus, routes: Routes, settings: RouterSettings, *, tenant: str, user: str
) -> AsyncIterator[Showing]:
    """To the model that the settings name. Raises InvalidSettings, BusUnavailable."""
    clock = ServerClock()
    async with clock.running(bus), open_hosted(bus, routes, settings, clock) as hosted:
        yield Showing(bus, hosted, tenant, user)
