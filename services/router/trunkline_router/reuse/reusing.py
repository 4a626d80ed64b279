"""All that gives answers again, put together as the settings say."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from trunkline.bus import Bus
from trunkline.bus.clock import ServerClock
from trunkline.cache import Cache, open_store
from trunkline_router.deciding.routes import Routes
from trunkline_router.reuse.again import Again
from trunkline_router.reuse.alike import Alike
from trunkline_router.reuse.answers import Answers
from trunkline_router.reuse.kept import Kept
from trunkline_router.runs.open_runs import OpenRuns
from trunkline_router.settings import RouterSettings


@dataclass(frozen=True)
class Reusing:
    """`again` gives answers, `kept` takes them. Enter `running`."""

    answers: Answers
    again: Again
    kept: Kept

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Reusing]:
        async with self.answers.keeping(), self.kept.keeping():
            yield self


def reusing(
    bus: Bus, routes: Routes, open_runs: OpenRuns, clock: ServerClock, settings: RouterSettings
) -> Reusing | None:
    """None when the settings turn it off. Raises InvalidSettings."""
    entries, size = settings.router_cache_entries, settings.router_cache_bytes
    store = open_store(settings.router_cache, bus, max_entries=entries, max_bytes=size)
    if store is None:
        return None
    answers = Answers(Cache(store), clock, longest=settings.router_cache_seconds)
    alike = Alike(answers, routes.encoder, most=settings.router_alike_questions)
    kept = Kept(bus, routes, answers, alike, clock, operators=settings.operators, days=settings.router_learn_days)
    return Reusing(answers, Again(bus, open_runs, answers, alike, clock), kept)
