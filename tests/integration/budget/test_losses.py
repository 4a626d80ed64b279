"""What budgets do when the bus is lost in the middle: never more is granted, and never is anything given back twice."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.conftest import wait_until
from tests.integration.budget.conftest import (
    Loss,
    anna,
    dollars,
    entries,
    limited,
    losing,
    new_call,
    totals,
    try_to_reserve,
)
from trunkline.budget import Budgets
from trunkline.bus import Bus
from trunkline.contracts.errors import BusUnavailable, OverBudget
from trunkline.host.server import EmbeddedServer

TWO = limited(run="1", user_day="1")


async def test_an_amount_whose_acknowledgement_is_lost_is_reserved_again_and_stays_with_the_refunds(bus: Bus) -> None:
    """Taking it back could give back what was never taken."""
    heard: list[str] = []

    def first_user_day(what: str, kind: str) -> Loss:
        heard.append(what)
        return "reply" if kind == "user-day" and heard.count("reserve") <= 2 else ""

    async with Budgets(TWO).running(bus) as budgets:
        with losing(bus, first_user_day):
            hold = await budgets.reserve(anna(), dollars("0.3"), call=str(new_call()))
        assert await totals(bus) == {"run": "0.3", "user-day": "0.6"}
        await hold.settle(dollars("0.1"))
        assert await totals(bus) == {"run": "0.1", "user-day": "0.4"}


async def test_an_amount_that_was_never_heard_of_is_not_taken_back(bus: Bus) -> None:
    async with Budgets(TWO).running(bus) as budgets:
        with (
            losing(bus, lambda *entry: "request" if entry == ("reserve", "run") else ""),
            pytest.raises(BusUnavailable),
        ):
            await budgets.reserve(anna(), dollars("0.3"), call=str(new_call()))
        assert {entry.what for entry in await entries(bus)} == {"reserve", "release"}
        assert await totals(bus) == {"user-day": "0"}


async def test_lost_amounts_may_fill_a_budget_but_never_overfill_it(bus: Bus) -> None:
    """Refused is then whoever comes, until the refunds have been."""
    async with Budgets(limited(run="1")).running(bus) as budgets:
        with (
            losing(bus, lambda what, _: "reply" if what == "reserve" else ""),
            pytest.raises((BusUnavailable, OverBudget)),
        ):
            await budgets.reserve(anna(), dollars("0.4"), call=str(new_call()))
        assert await try_to_reserve(budgets, anna(), dollars("0.4")) is None


@pytest.mark.parametrize("loss", ["reply", "request"])
async def test_settling_is_told_again_and_counts_once(bus: Bus, loss: Loss) -> None:
    told: list[str] = []

    def first(what: str, kind: str) -> Loss:
        if what != "settle":
            return ""
        told.append(kind)
        return loss if told.count(kind) == 1 else ""

    async with Budgets(TWO).running(bus) as budgets:
        hold = await budgets.reserve(anna(), dollars("0.5"), call=str(new_call()))
        with losing(bus, first):
            await hold.settle(dollars("0.2"))
        assert sorted(told) == ["run", "run", "user-day", "user-day"]
        assert await totals(bus) == {"run": "0.2", "user-day": "0.2"}


async def test_settling_never_raises_and_is_left_to_the_refunds(bus: Bus) -> None:
    async with Budgets(TWO).running(bus) as budgets:
        hold = await budgets.reserve(anna(), dollars("0.5"), call=str(new_call()))
        with losing(bus, lambda what, _: "request" if what == "settle" else ""):
            await hold.settle(dollars("0.2"))
        assert await totals(bus) == {"run": "0.5", "user-day": "0.5"}


async def test_a_bus_that_stands_still_grants_nothing_that_it_does_not_count(bus: Bus, server: EmbeddedServer) -> None:
    """What was sent to it meanwhile it counts when it goes on, whoever has given up by then."""
    async with Budgets(limited(tenant_day="1")).running(bus) as budgets:
        os.kill(server.pid, signal.SIGSTOP)
        try:
            asked = [asyncio.create_task(try_to_reserve(budgets, anna(), dollars("0.3"))) for _ in range(8)]
            done, _ = await asyncio.wait(asked, timeout=2.5)
            assert not done
        finally:
            os.kill(server.pid, signal.SIGCONT)
        found = await asyncio.gather(*asked)
    granted = {hold.id for hold in found if hold}
    counted = [entry for entry in await entries(bus) if entry.hold in granted]
    assert len(granted) <= 3
    assert len(counted) == len(granted)


async def test_counters_survive_the_server(bus: Bus, server: EmbeddedServer) -> None:
    async with Budgets(limited(tenant_day="1")).running(bus) as budgets:
        assert await try_to_reserve(budgets, anna(), dollars("0.8"))
        await server.stop()
        await server.start()
        await wait_until(lambda: bus.client.is_connected, "a connection")
        assert await try_to_reserve(budgets, anna(), dollars("0.3")) is None
        assert await try_to_reserve(budgets, anna(), dollars("0.2"))


async def test_nothing_is_given_back_by_what_was_said_while_the_bus_was_away(bus: Bus, server: EmbeddedServer) -> None:
    """It would be heard of at any time later, when it may have been given back already."""
    async with Budgets(TWO).running(bus) as budgets:
        hold = await budgets.reserve(anna(), dollars("0.5"), call=str(new_call()))
        await server.stop()
        await wait_until(lambda: not bus.client.is_connected, "the connection to be lost")
        await hold.release()
        await server.start()
        await wait_until(lambda: bus.client.is_connected, "a connection")
        await bus.client.flush()
        assert await totals(bus) == {"run": "0.5", "user-day": "0.5"}
