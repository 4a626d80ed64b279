"""Money is reserved before it is spent: in every budget that applies, and never more than one of them allows."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.budget.conftest import (
    NO_LIMITS,
    anna,
    dollars,
    entries,
    kind_of,
    limited,
    many_budgets,
    most_held,
    new_call,
    totals,
    try_to_reserve,
)
from trunkline.budget import KINDS, Budgets, BudgetSettings, Hold, Kind, Spender
from trunkline.budget.limits import counter
from trunkline.bus import Bus, counting
from trunkline.bus.clock import ServerClock
from trunkline.contracts.errors import OverBudget
from trunkline.contracts.subjects import BUDGET
from trunkline.host.server import EmbeddedServer
from trunkline.prices import Money

AMONG_MANY = "0.05"


async def test_an_amount_is_held_in_every_budget_that_applies_and_settled(bus: Bus) -> None:
    async with Budgets(BudgetSettings()).running(bus) as budgets:
        hold = await budgets.reserve(anna(), dollars("0.25"), call=str(new_call()))
        held = {"run": "0.25", "conversation": "0.25", "user-day": "0.25", "tenant-day": "0.25", "tenant-month": "0.25"}
        assert await totals(bus) == held
        assert [name.split(".")[2] for name in hold.limits] == list(held)
        assert hold.warnings == ()
        await hold.settle(dollars("0.1"))
        assert await totals(bus) == dict.fromkeys(held, "0.1")


async def test_what_is_released_is_there_again_and_only_once(bus: Bus) -> None:
    async with Budgets(limited(run="1")).running(bus) as budgets:
        hold = await budgets.reserve(anna(), dollars("1"), call=str(new_call()))
        assert await try_to_reserve(budgets, anna(), dollars("0.01")) is None
        await hold.release()
        await hold.release()
        await hold.settle(dollars("0.5"))
        assert await totals(bus) == {"run": "0"}
        assert await try_to_reserve(budgets, anna(), dollars("1"))


async def test_a_limit_may_be_used_up_to_the_last_picodollar(bus: Bus) -> None:
    async with Budgets(limited(run="0.3")).running(bus) as budgets:
        for _ in range(3):
            await budgets.reserve(anna(), dollars("0.1"), call=str(new_call()))
        with pytest.raises(OverBudget) as caught:
            await budgets.reserve(anna(), Money(1), call=str(new_call()))
        assert caught.value.data["left"] == "0"


async def test_what_costs_nothing_and_what_nothing_limits_leaves_no_trace(bus: Bus) -> None:
    async with Budgets(BudgetSettings()).running(bus) as budgets, Budgets(NO_LIMITS).running(bus) as unlimited:
        free = await budgets.reserve(anna(), Money(), call=str(new_call()))
        allowed = await unlimited.reserve(anna(), dollars("1000"), call=str(new_call()))
        for hold in (free, allowed):
            assert hold.limits == ()
            await hold.settle(Money())
    assert await entries(bus) == []


async def test_a_refusal_takes_nothing_anywhere_and_names_the_tightest(bus: Bus) -> None:
    async with Budgets(limited(run="1", user_day="0.5", tenant_day="9")).running(bus) as budgets:
        await budgets.reserve(anna(run="earlier"), dollars("0.2"), call=str(new_call()))
        before = await totals(bus)
        with pytest.raises(OverBudget) as caught:
            await budgets.reserve(anna(), dollars("2"), call=str(new_call()))
        assert await totals(bus) == before
        error = caught.value
        assert error.what.startswith("The budget of user anna for today has $0.30 of $0.50 left")
        assert error.data["needed"] == "2"
        assert await try_to_reserve(budgets, anna(user="ben"), dollars("0.5"))


async def test_an_entry_says_what_it_is_for_and_whose_it_is(bus: Bus) -> None:
    name, call = "Änna\r\nNats-Incr: 7 * > \t\x00", new_call()
    async with Budgets(limited(user_day="1")).running(bus) as budgets:
        hold = await budgets.reserve(anna(user=name), dollars("0.5"), call=str(call))
        await hold.settle(dollars("0.4"))
        refused = await try_to_reserve(budgets, anna(user=name), dollars("0.7"))
    reserve, settle = await entries(bus)
    assert refused is None
    assert (reserve.what, settle.what) == ("reserve", "settle")
    assert reserve.who == settle.who == name
    assert reserve.call == settle.call == str(call)
    assert reserve.hold == settle.hold == hold.id
    assert (reserve.pico, settle.pico) == (5 * 10**11, -(10**11))


async def test_a_hold_stays_in_the_window_in_which_it_was_made(bus: Bus) -> None:
    class Clock(ServerClock):
        def now(self) -> datetime:
            return moment

    moment = datetime(2026, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC)
    async with Budgets(limited(tenant_day="1", tenant_month="1"), Clock()).running(bus) as budgets:
        before = await budgets.reserve(anna(), dollars("0.9"), call=str(new_call()))
        assert await try_to_reserve(budgets, anna(), dollars("0.2")) is None
        moment += timedelta(microseconds=1)
        assert await try_to_reserve(budgets, anna(), dollars("1"))
        await before.settle(dollars("0.3"))
        assert await try_to_reserve(budgets, anna(), dollars("0.1")) is None
    last = [(entry.counter.split(".")[2:4], entry.pico) for entry in await entries(bus) if entry.what == "settle"]
    assert sorted(last) == [(["tenant-day", "2026-11-30"], -6 * 10**11), (["tenant-month", "2026-11"], -6 * 10**11)]
    assert before.limits[0] == counter("main", "tenant-day", "2026-11-30", "main")


async def test_five_hundred_at_once_and_twenty_are_granted(
    bus: Bus, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over ten connections; nobody sees more granted than the limit, at any moment."""
    assert counting.add.__kwdefaults__  # what is answered too late would stay counted, and nobody would get it
    monkeypatch.setitem(counting.add.__kwdefaults__, "wait", 60.0)
    amount = dollars(AMONG_MANY)
    async with many_budgets(server.url, limited(tenant_day="1"), 10) as processes:
        asked = (
            try_to_reserve(processes[number % 10], anna(run=f"r-{number}", user=f"u-{number}"), amount)
            for number in range(500)
        )
        granted = [hold for hold in await asyncio.gather(*asked) if hold]
    assert len(granted) == 20
    ids = {hold.id for hold in granted}
    assert most_held(await entries(bus), ids) == {"tenant-day": 10**12}
    assert await totals(bus) == {"tenant-day": "1"}


@pytest.mark.parametrize("seed", range(3))
async def test_five_limits_that_overlap_hold_at_every_moment(bus: Bus, server: EmbeddedServer, seed: int) -> None:
    """Different amounts, settled below, released and never settled, while others ask."""
    chance = random.Random(seed)
    settings = limited(run="0.4", conversation="0.7", user_day="1.1", agent_day="1.5", tenant_day="2")
    granted: set[str] = set()
    refused: list[tuple[Spender, Money]] = []

    async def live(budgets: Budgets, number: int) -> None:
        run = number % 12
        spender = anna(f"r-{run}", f"c-{run % 6}", f"u-{run % 4}", f"a-{number % 3}")
        amount = Money(chance.randrange(1, 25 * 10**10))
        await asyncio.sleep(chance.random() / 4)
        hold = await try_to_reserve(budgets, spender, amount)
        if hold is None:
            refused.append((spender, amount))
            return
        granted.add(hold.id)
        await asyncio.sleep(chance.random() / 4)
        await finish(hold, amount)

    async def finish(hold: Hold, amount: Money) -> None:
        outcome = chance.random()
        if outcome < 0.4:
            await hold.settle(Money(chance.randrange(amount.pico)))
        elif outcome < 0.7:
            await hold.release()

    async with many_budgets(server.url, settings, 5) as processes:
        await asyncio.gather(*(live(processes[number % 5], number) for number in range(150)))
        assert granted
        assert refused
        held = most_held(await entries(bus), granted)
        assert all(held[kind] <= (settings.amount(kind) or Money()).pico for kind in held)
        for spender, amount in refused[:10]:  # nobody else is at it any more: whoever has room is let in
            spent = await _spent(bus, spender)
            fits = all(spent[kind] + amount.pico <= limit.pico for kind in spent if (limit := settings.amount(kind)))
            hold = await try_to_reserve(processes[0], spender, amount)
            assert bool(hold) == fits


async def _spent(bus: Bus, spender: Spender) -> dict[Kind, int]:
    """By kind, of those that the spender's next amount would be added to."""
    whose = {(kind, counter("main", kind, "-", spender.who(kind)).rpartition(".")[2]) for kind in KINDS[:5]}
    found = dict.fromkeys(KINDS[:5], 0)
    for entry in await entries(bus):
        if (kind_of(entry), entry.counter.rpartition(".")[2]) in whose:
            found[kind_of(entry)] += entry.pico
    return found


async def test_who_is_refused_for_anothers_moment_tries_again(bus: Bus, server: EmbeddedServer) -> None:
    """Large amounts that fit nowhere are added and taken back; a small one that fits gets its place among them."""
    settings = limited(tenant_day="1", run="0.5")
    async with many_budgets(server.url, settings, 4) as processes:
        large = [try_to_reserve(processes[number % 3], anna(run="r"), dollars("0.4")) for number in range(60)]
        small = [try_to_reserve(processes[3], anna(run=f"s-{number}"), dollars("0.05")) for number in range(12)]
        found = await asyncio.gather(*large, *small)
    assert sum(hold is not None for hold in found[:60]) == 1
    assert all(found[60:])


async def test_whoever_takes_a_budget_to_four_fifths_says_so_once(bus: Bus, server: EmbeddedServer) -> None:
    async with many_budgets(server.url, limited(user_day="1", tenant_day="100"), 2) as (one, other):
        first = await one.reserve(anna(), dollars("0.79"), call=str(new_call()))
        assert first.warnings == ()
        assert (await other.reserve(anna(), dollars("0.01"), call=str(new_call()))).warnings == ()
        (warned,) = (await other.reserve(anna(), dollars("0.01"), call=str(new_call()))).warnings
        assert (warned.kind, warned.who, str(warned.limit), str(warned.spent)) == ("user-day", "anna", "1", "0.8")
        assert warned.resets is not None
        await first.release()
        for budgets in (one, other):
            held = await budgets.reserve(anna(), dollars("0.8"), call=str(new_call()))
            again = await budgets.reserve(anna(), dollars("0.1"), call=str(new_call()))
            assert again.warnings == ()
            await asyncio.gather(held.release(), again.release())
        assert (await one.reserve(anna(user="ben"), dollars("0.9"), call=str(new_call()))).warnings == ()
        assert (await one.reserve(anna(user="ben"), dollars("0.1"), call=str(new_call()))).warnings


async def test_without_the_counters_nothing_is_granted(bus: Bus) -> None:
    async with Budgets(BudgetSettings()).running(bus) as budgets:
        await bus.api(f"STREAM.DELETE.{BUDGET}")
        with pytest.raises(Exception, match="Nobody on the bus answers"):
            await budgets.reserve(anna(), dollars("0.1"), call=str(new_call()))
