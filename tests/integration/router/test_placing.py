"""A router that is slow, while others are quick: whatever it finds when it has made up its mind, it does no harm."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.conftest import wait_until
from trunkline.bus import Bus, append, last
from trunkline.bus.clock import ServerClock
from trunkline.bus.roster import Roster
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Cancel, Request, Task
from trunkline.contracts.registry import AgentCard
from trunkline.contracts.subjects import CLIENT, ROUTER, RunKey
from trunkline_router import placing
from trunkline_router.classifiers.lexical import LexicalClassifier
from trunkline_router.deadline import Limits
from trunkline_router.deciding.decide import Dispatch
from trunkline_router.deciding.routes import Routes
from trunkline_router.placing import Router
from trunkline_router.runs.open_runs import OpenRuns
from trunkline_router.runs.reader import Reader
from trunkline_router.settings import RouterSettings


@contextlib.asynccontextmanager
async def routing(bus: Bus) -> AsyncIterator[Router]:
    """A router that reads the log, and takes no requests by itself."""
    open_runs = OpenRuns(Limits())
    reader = Reader(bus, open_runs)
    routes = Routes(Roster(AgentCard), LexicalClassifier())
    async with ServerClock().running(bus) as clock, reader.reading(lambda: None):
        yield Router(bus, routes, RouterSettings(nats_url=bus.url), open_runs, reader, clock)


async def ask(router: Router) -> RunKey:
    key = RunKey.checked(new_run_id(), new_conversation_id())
    await append(router.bus, key.step("request", ROUTER), Request(text="?", first=True))
    await wait_until(lambda: key in router.open, "the router has read the request")
    return key


async def place(router: Router, key: RunKey) -> None:
    run = router.open.get(key)
    assert run
    await router.place_parked(run)


def deciding(meanwhile: Callable[[], Awaitable[None]]) -> Callable[..., Awaitable[Dispatch]]:
    async def dispatch(*_: Any, **__: Any) -> Dispatch:
        await meanwhile()
        return Dispatch("plain")

    return dispatch


async def test_what_was_cancelled_while_it_was_decided_upon_is_given_to_nobody(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with routing(bus) as router:
        key = await ask(router)

        async def cancelled() -> None:
            await append(bus, key.cancel, Cancel(by="ann"))
            await wait_until(lambda: bool((run := router.open.get(key)) and run.cancel), "the router knows it")

        monkeypatch.setattr(placing, "dispatch", deciding(cancelled))
        await place(router, key)
        assert await last(bus, key.step("task", "plain").any_name) is None


async def test_a_run_that_another_router_placed_and_that_has_ended_is_not_counted(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an agent would seem to have ever more unfinished runs, until it took none any more."""
    async with routing(bus) as router:
        key = await ask(router)

        async def placed() -> None:
            await append(bus, key.step("task", "plain"), Task())
            await append(bus, key.step("answer", CLIENT), Answer(text="!"))
            await wait_until(lambda: key not in router.open, "the router has read the answer")

        monkeypatch.setattr(placing, "dispatch", deciding(placed))
        await place(router, key)
        assert (router.open.at("plain"), router.open.at_all()) == (0, 0)
