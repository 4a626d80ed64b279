"""Three copies of the counters: the server that adds dies while many reserve, and no limit is ever exceeded."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.conftest import wait_until
from tests.integration.budget.conftest import anna, dollars, entries, limited, many_budgets, most_held
from trunkline.budget import Budgets
from trunkline.budget.counters import look
from trunkline.budget.refunds import Refunds
from trunkline.bus import Bus
from trunkline.contracts.errors import BusUnavailable, OverBudget
from trunkline.contracts.ids import new_run_id
from trunkline.contracts.subjects import BUDGET, RunKey

AMOUNT = dollars("0.05")
COST = dollars("0.01")


@pytest.mark.timeout(240)
async def test_the_server_that_adds_dies_while_many_reserve(tmp_path: Path) -> None:
    """Each holds an amount for a moment, settles below it, and comes again, until little is left for all of them."""
    granted: set[str] = set()

    async def spend(budgets: Budgets, number: int) -> None:
        while True:
            call = RunKey.checked(new_run_id(), "c").step("prompt", "billing", "m1-1")
            with contextlib.suppress(BusUnavailable):
                try:
                    hold = await budgets.reserve(anna(run=f"r-{number}"), AMOUNT, call=str(call))
                except OverBudget:
                    return
                granted.add(hold.id)
                await hold.settle(COST)

    async with Cluster(tmp_path / "cluster").running() as cluster, Bus.open(cluster.url) as bus:
        async with many_budgets(cluster.url, limited(run="1", tenant_day="6"), 4) as processes:
            spending = [asyncio.create_task(spend(processes[number % 4], number)) for number in range(24)]
            await wait_until(lambda: len(granted) > 50, "a good many", seconds=60)
            leader = cluster.nodes[(await bus.api(f"STREAM.INFO.{BUDGET}"))["cluster"]["leader"]]
            await leader.kill()
            before = len(granted)
            await wait_until(lambda: len(granted) > before + 50, "reserving to go on", seconds=60)
            await leader.start()
            await asyncio.gather(*spending)
        assert await holds_at_every_prefix(bus, granted)
        async with Refunds(bus, grace=0.5).refunding():
            await wait_until(lambda: only_costs_are_left(bus), "what nobody paid to be given back", seconds=60)


async def holds_at_every_prefix(bus: Bus, granted: set[str]) -> bool:
    """And each counter is the sum of what was added to it, as every server knows it."""
    found = await entries(bus)
    held = most_held(found, granted)
    sums = {entry.counter: 0 for entry in found}
    for entry in found:
        sums[entry.counter] += entry.pico
    counted = {name: count.pico for name, count in (await look(bus, sums)).items()}
    return counted == sums and held["run"] <= dollars("1").pico and held["tenant-day"] <= dollars("6").pico


async def only_costs_are_left(bus: Bus) -> bool:
    """Nothing was prompted here: of each amount there is what its owner settled, or nothing."""
    left: Counter[str] = Counter()
    for entry in await entries(bus):
        left[entry.counter] += entry.pico - COST.pico * (entry.what == "settle")
    return not any(left.values())
