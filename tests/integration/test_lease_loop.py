"""How often a message comes, to whom, and what becomes of one that gets nowhere."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import wait_until
from trunkline.bus import Bus, Lease, LeaseLoop, append
from trunkline.bus import lease as lease_module
from trunkline.bus.consumers import Consumer, ensure_consumer
from trunkline.contracts.errors import BusUnavailable, Superseded
from trunkline.contracts.ids import new_run_id
from trunkline.contracts.messages import Note
from trunkline.contracts.subjects import TRUNK, RunKey
from trunkline.host.server import EmbeddedServer

CONSUMER = Consumer(TRUNK, "w", ("trunk.*.*.*.note.w.*",))
IMPATIENT = Consumer(TRUNK, "w", ("trunk.*.*.*.note.w.*",), ack_wait=0.5)


async def a_note(bus: Bus) -> None:
    await append(bus, RunKey.checked(new_run_id(), "c1").step("note", "w"), Note(what="x"))


async def park_nothing(lease: Lease, error: Exception) -> None:
    pytest.fail(f"parked {lease.message.subject}: {error}")


async def waiting_pulls(bus: Bus) -> int:
    info = await bus.api(f"CONSUMER.INFO.{TRUNK}.w")
    waiting: int = info["num_waiting"]
    return waiting


async def test_what_comes_while_a_loop_drains_is_first_delivered_to_the_next_loop(
    bus: Bus, server: EmbeddedServer
) -> None:
    started, finish = asyncio.Event(), asyncio.Event()
    deliveries: list[int] = []

    async def slow(lease: Lease) -> None:
        started.set()
        await finish.wait()
        await lease.ack()

    async def count(lease: Lease) -> None:
        deliveries.append(lease.delivery)
        await lease.ack()

    async def drain_slowly(leaving: Bus) -> None:
        async with LeaseLoop(leaving, CONSUMER, slow, park=park_nothing, slots=32).running():
            await a_note(bus)
            await started.wait()

    async with Bus.open(server.url) as leaving:
        draining = asyncio.create_task(drain_slowly(leaving))
        await started.wait()
        await wait_until(lambda: _nobody_pulls(bus), "the loop that drains has stopped pulling")
        await a_note(bus)
        async with LeaseLoop(bus, CONSUMER, count, park=park_nothing).running():
            await wait_until(lambda: bool(deliveries), "the second note")
        finish.set()
        await draining
    assert deliveries == [1]


async def _nobody_pulls(bus: Bus) -> bool:
    return await waiting_pulls(bus) == 0


async def test_a_reconnect_does_not_ask_twice(bus: Bus, server: EmbeddedServer) -> None:
    gate = asyncio.Event()
    deliveries: list[int] = []

    async def hold(lease: Lease) -> None:
        deliveries.append(lease.delivery)
        await gate.wait()
        await lease.ack()

    reconnected: list[bool] = []
    async with Bus.open(server.url) as other:
        other.on_reconnect.append(lambda: reconnected.append(True))
        async with LeaseLoop(other, CONSUMER, hold, park=park_nothing, slots=4).running():
            for times in range(1, 4):
                await other.client.force_reconnect()
                await wait_until(lambda times=times: len(reconnected) == times, "the new connection")  # type: ignore[misc]
                await wait_until(lambda: _one_pulls(bus), "one pull and no more")
            for _ in range(8):
                await a_note(bus)
            await wait_until(lambda: len(deliveries) == 4, "all slots taken")
            gate.set()
            await wait_until(lambda: len(deliveries) == 8, "all notes handled")
    assert deliveries == [1] * 8


async def _one_pulls(bus: Bus) -> bool:
    return await waiting_pulls(bus) == 1


async def test_a_message_that_is_superseded_for_ever_is_parked(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "MOST_DELIVERIES", 3)
    handled: list[int] = []
    parked: list[str] = []

    async def never(lease: Lease) -> None:
        handled.append(lease.delivery)
        raise Superseded("somebody else is ahead")

    async def park(_lease: Lease, error: Exception) -> None:
        parked.append(str(error))

    async with LeaseLoop(bus, IMPATIENT, never, park=park).running():
        await a_note(bus)
        await wait_until(lambda: bool(parked), "the dead letter")
    assert handled == [1, 2, 3]
    assert parked == ["It was delivered 4 times without getting anywhere."]


async def test_a_bus_that_fails_for_long_makes_no_message_poison(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept, and tried more often than any message is delivered; what was done by then may be on the log."""
    monkeypatch.setattr(lease_module, "RETRY_SECONDS", (0.01,))
    tries: list[tuple[int, bool]] = []
    most = lease_module.MOST_DELIVERIES

    async def wait_for_room(lease: Lease) -> None:
        tries.append((lease.delivery, lease.fresh))
        if len(tries) <= most:
            raise BusUnavailable("the log is full")
        await lease.ack()

    async with LeaseLoop(bus, CONSUMER, wait_for_room, park=park_nothing).running():
        await a_note(bus)
        await wait_until(lambda: len(tries) > most, "the try after the outage", seconds=10)
    assert tries == [(1, True)] + [(1, False)] * most


async def test_who_leaves_during_an_outage_lets_go_of_the_message(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "MAX_DELIVERIES", 1)
    failed = asyncio.Event()
    deliveries: list[int] = []

    async def fail(_lease: Lease) -> None:
        failed.set()
        raise BusUnavailable("the log is full")

    async def count(lease: Lease) -> None:
        deliveries.append(lease.delivery)
        await lease.ack()

    async with LeaseLoop(bus, CONSUMER, fail, park=park_nothing).running():
        await a_note(bus)
        await failed.wait()
    async with LeaseLoop(bus, CONSUMER, count, park=park_nothing).running():
        await wait_until(lambda: deliveries == [2], "the second delivery, long before the lease ran out", seconds=5)


async def test_a_handler_that_is_cancelled_from_within_has_failed(bus: Bus) -> None:
    deliveries: list[int] = []

    async def leak(lease: Lease) -> None:
        deliveries.append(lease.delivery)
        if lease.delivery == 1:
            inner = asyncio.ensure_future(asyncio.sleep(9))
            inner.cancel()
            await inner
        await lease.ack()

    async with LeaseLoop(bus, CONSUMER, leak, park=park_nothing).running():
        await a_note(bus)
        await wait_until(lambda: deliveries == [1, 2], "the second delivery, long before the lease ran out", seconds=5)


async def test_a_message_that_cannot_be_parked_comes_again(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "MOST_DELIVERIES", 0)
    tries: list[int] = []

    async def park(lease: Lease, _error: Exception) -> None:
        tries.append(lease.delivery)
        if len(tries) == 1:
            raise ValueError("the letter does not fit")

    async def handle(_lease: Lease) -> None:
        pytest.fail("delivered too often to be handled")

    async def settled() -> bool:
        return len(tries) > 1 and (await bus.api(f"CONSUMER.INFO.{TRUNK}.w"))["num_ack_pending"] == 0

    async with LeaseLoop(bus, IMPATIENT, handle, park=park).running():
        await a_note(bus)
        await wait_until(settled, "the second try, which lets go of it")


async def test_a_first_delivery_by_a_consumer_made_anew_is_not_fresh(bus: Bus) -> None:
    seen: list[tuple[int, bool]] = []

    async def handle(lease: Lease) -> None:
        seen.append((lease.sequence, lease.fresh))
        await lease.ack()

    async with LeaseLoop(bus, CONSUMER, handle, park=park_nothing).running():
        await a_note(bus)
        await wait_until(lambda: seen == [(1, True)], "the first note")
        await bus.api(f"CONSUMER.DELETE.{TRUNK}.w")
        await wait_until(lambda: seen[1:] == [(1, False)], "the first note again")
        await a_note(bus)
        await wait_until(lambda: seen[2:] == [(2, True)], "the second note")


async def test_a_second_delivery_is_not_fresh(bus: Bus) -> None:
    seen: list[bool] = []

    async def handle(lease: Lease) -> None:
        seen.append(lease.fresh)
        await (lease.retry(0.0) if lease.delivery == 1 else lease.ack())

    async with LeaseLoop(bus, CONSUMER, handle, park=park_nothing).running():
        await a_note(bus)
        await wait_until(lambda: seen == [True, False], "both deliveries")


async def test_a_consumer_says_what_was_there_before_it(bus: Bus) -> None:
    await a_note(bus)
    first = await ensure_consumer(bus, CONSUMER)
    await a_note(bus)
    again = await ensure_consumer(bus, CONSUMER)
    assert (first.created_at, first.differences) == (again.created_at, again.differences) == (1, {})
