"""What an operator does with budgets while the platform runs."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.conftest import wait_until
from tests.integration.budget.conftest import anna, dollars, limited, losing_put, many_budgets, new_call, try_to_reserve
from trunkline.budget import KINDS, Budgets, BudgetSettings, Kind
from trunkline.budget.book import OF_TENANT, Standing, checked_kind, set_limit, standings, top_up
from trunkline.budget.limits import resets_of, window_of
from trunkline.budget.overrides import TopUps, limit_key, top_up_key
from trunkline.bus import Bus
from trunkline.bus.provision import BUDGETS
from trunkline.bus.streams import server_now
from trunkline.contracts.errors import InvalidArguments, TrunklineError
from trunkline.contracts.subjects import BUDGET
from trunkline.host.server import EmbeddedServer
from trunkline.prices import Money

THREE = limited(run="1", user_day="1", tenant_day="10")


async def allows(budgets: Budgets, amount: str, user: str = "anna") -> bool:
    """Whether that much may be reserved, which is given back."""
    hold = await try_to_reserve(budgets, anna(user=user), dollars(amount))
    if hold:
        await hold.release()
    return hold is not None


async def until_allows(budgets: Budgets, amount: str, *, expected: bool = True, user: str = "anna") -> None:
    async def same() -> bool:
        return await allows(budgets, amount, user) == expected

    await wait_until(same, f"{amount} dollars to be {'allowed' if expected else 'refused'} {user}")


async def test_a_limit_that_is_set_holds_in_every_process_and_its_own_wins_over_everybodys(
    bus: Bus, server: EmbeddedServer
) -> None:
    async with many_budgets(server.url, limited(user_day="1"), 2) as processes:
        await set_limit(bus, "main", "user-day", None, dollars("3"), "olga")
        for budgets in processes:
            await until_allows(budgets, "3")
            assert not await allows(budgets, "3.01")
        await set_limit(bus, "main", "user-day", "anna", dollars("0.5"), "olga")
        for budgets in processes:
            await until_allows(budgets, "0.51", expected=False)
            assert await allows(budgets, "0.5")
            assert await allows(budgets, "3", user="ben")
        await set_limit(bus, "main", "user-day", "anna", None, "olga")
        await until_allows(processes[0], "999999")
        await set_limit(bus, "main", "user-day", "anna", Money(), "olga")
        await until_allows(processes[0], "0.000001", expected=False)


async def test_what_was_set_is_known_to_whoever_begins_later(bus: Bus) -> None:
    await set_limit(bus, "main", "run", None, dollars("0.1"), "olga")
    await set_limit(bus, "other", "run", None, dollars("5"), "olga")
    async with Budgets(limited(run="1")).running(bus) as budgets:
        assert await allows(budgets, "0.1")
        assert not await allows(budgets, "0.11")


async def test_a_top_up_raises_the_limit_in_this_window_for_this_one_only(bus: Bus) -> None:
    async with Budgets(limited(user_day="1")).running(bus) as budgets:
        await top_up(bus, "main", "user-day", "anna", dollars("0.5"), "olga")
        await until_allows(budgets, "1.5")
        assert not await allows(budgets, "1.51")
        assert not await allows(budgets, "1.01", user="ben")
        await set_limit(bus, "main", "user-day", "anna", dollars("2"), "olga")
        await until_allows(budgets, "2.5")
        tomorrow = await server_now(bus, BUDGET) + timedelta(days=1)
        assert budgets._overrides.limit("main", "user-day", "anna", tomorrow).amount == dollars("2")  # type: ignore[union-attr]


async def test_all_of_many_top_ups_at_once_count(bus: Bus, server: EmbeddedServer) -> None:
    """Whatever becomes of their acknowledgements."""
    async with Bus.open(server.url) as other:
        with losing_put(other, every=3):
            tops = (
                top_up(other if number % 2 else bus, "main", "tenant-day", None, dollars("0.25"), f"o-{number % 3}")
                for number in range(24)
            )
            await asyncio.gather(*tops)
    (day, _) = await standings(bus, limited(tenant_day="1"), "main", kinds=OF_TENANT)
    assert (str(day.limit), str(day.topped_up), sorted(day.topped_up_by)) == ("7", "6", ["o-0", "o-1", "o-2"])


async def test_standings_say_how_every_budget_stands(bus: Bus) -> None:
    name = "Änna > *\x07"
    async with Budgets(THREE).running(bus) as budgets:
        hold = await budgets.reserve(anna(user=name), dollars("0.4"), call=str(new_call()))
        await hold.settle(dollars("0.3"))
        await budgets.reserve(anna(user=""), dollars("0.2"), call=str(new_call()))
    await set_limit(bus, "main", "agent-day", "billing", dollars("7"), "olga")
    await top_up(bus, "main", "user-day", "ben", dollars("2"), "olga")
    await set_limit(bus, "other", "agent-day", "theirs", dollars("7"), "olga")
    now = await server_now(bus, BUDGET)
    found = await standings(bus, THREE, "main")

    def standing(kind: Kind, who: str, spent: str, limit: str | None, more: str = "0") -> Standing:
        window = window_of(kind, now).removeprefix("-")
        by = ("olga",) if more != "0" else ()
        allowed = None if limit is None else dollars(limit)
        return Standing(kind, who, window, dollars(spent), allowed, resets_of(kind, now), dollars(more), by)

    assert found == [
        standing("agent-day", "billing", "0", "7"),
        standing("run", "r", "0.5", "1"),
        standing("tenant-day", "main", "0.5", "10"),
        standing("tenant-month", "main", "0", None),
        standing("user-day", "anonymous", "0.2", "1"),
        standing("user-day", "ben", "0", "3", more="2"),
        standing("user-day", name, "0.3", "1"),
    ]
    assert str(found[1].left) == "0.5"
    assert found[3].left is None
    assert {each.kind for each in await standings(bus, THREE, "main", kinds=OF_TENANT)} == set(OF_TENANT)


async def test_standings_are_of_the_present_window_and_of_one_tenant(bus: Bus) -> None:
    for counter in ("budget.main.tenant-day.2020-01-01.x", "budget.other.tenant-day.2020-01-01.x"):
        await bus.mailbox.request(counter, b"", headers={"Nats-Incr": "+5"})
    found = await standings(bus, BudgetSettings(), "main")
    assert [(each.kind, each.who, str(each.spent)) for each in found] == [
        ("tenant-day", "main", "0"),
        ("tenant-month", "main", "0"),
    ]


@pytest.mark.parametrize(
    ("kind", "who", "amount", "what", "hint"),
    [
        ("user-day", "anna", "-1", "-1 US dollars is less than nothing", "plain digits"),
        ("user-day", "anna", "1000000.000001", "is more than anybody spends", "1000000 at most"),
        ("user-day", "anna", "0", "Nothing is not a top-up", "more"),
        ("userday", "anna", "1", "'userday' is no kind of budget", "Did you mean `user-day`?"),
        ("user-day", None, "1", "is not said", "--for"),
        ("user-day", "", "1", "nobody's", "anonymous"),
        ("tenant-day", "anna", "1", "whole tenant's, not anna's", "Leave out"),
    ],
)
async def test_what_cannot_be_meant_is_refused_and_changes_nothing(
    bus: Bus, kind: str, who: str | None, amount: str, what: str, hint: str
) -> None:
    asked = Money(-Money.parse(amount[1:]).pico) if amount.startswith("-") else Money.parse(amount)
    with pytest.raises(InvalidArguments) as caught:
        await top_up(bus, "main", kind, who, asked, "olga")
    assert what in caught.value.what
    assert hint in caught.value.hint
    if who and asked.pico:
        with pytest.raises(InvalidArguments):
            await set_limit(bus, "main", kind, who, asked, "olga")
    assert len(await standings(bus, BudgetSettings(), "main")) == len(OF_TENANT)


async def test_top_ups_do_not_add_up_beyond_reason(bus: Bus) -> None:
    await top_up(bus, "main", "tenant-day", None, dollars("999999"), "olga")
    with pytest.raises(InvalidArguments, match="in all"):
        await top_up(bus, "main", "tenant-day", None, dollars("2"), "olga")


async def test_a_tenant_is_a_name(bus: Bus) -> None:
    with pytest.raises(TrunklineError, match="not a valid name"):
        await set_limit(bus, "a.*", "run", None, dollars("1"), "olga")


async def test_rubbish_in_the_bucket_changes_nothing(bus: Bus) -> None:
    now = await server_now(bus, BUDGET)
    keys = limit_key("main", "user-day", ""), top_up_key("main", "user-day", window_of("user-day", now), "anna")
    for key in keys:
        for data in (b"", b"{", b'{"amount":"-5","who":"","by":"","at":"2026-01-01T00:00:00Z"}', b'{"who":1}'):
            await bus.mailbox.request(f"$KV.{BUDGETS}.{key}", data)
    async with Budgets(limited(user_day="1")).running(bus) as budgets:
        assert await allows(budgets, "1")
        assert not await allows(budgets, "1.01")
        await top_up(bus, "main", "user-day", "anna", dollars("1"), "olga")
        await until_allows(budgets, "2")


def test_top_ups_of_nothing_are_nothing() -> None:
    assert TopUps("anna").total == Money()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_known(kind: Kind) -> None:
    assert checked_kind(kind) == kind
