"""A bus that stands still, with all its connections open, and goes on as if nothing had been."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator

import nats.errors
import psutil
import pytest

from tests.conftest import wait_until
from trunkline.bus import Bus, Lease, LeaseLoop, append
from trunkline.bus.consumers import Consumer
from trunkline.bus.registry import AGENTS, registered
from trunkline.bus.roster import Roster
from trunkline.contracts.ids import new_run_id
from trunkline.contracts.messages import Note
from trunkline.contracts.registry import AgentCard
from trunkline.contracts.subjects import TRUNK, RunKey
from trunkline.host.server import EmbeddedServer

CARD = AgentCard(agent="quick", worker="w", beat_seconds=0.2)
GONE_SECONDS = 1.0
IMPATIENT = Consumer(TRUNK, "w", ("trunk.*.*.*.note.w.*",), ack_wait=0.5)


@contextlib.contextmanager
def frozen(server: EmbeddedServer) -> Iterator[None]:
    """Each of its threads goes on until the first has run and taken the signal, which takes long on a busy machine."""
    os.kill(server.pid, signal.SIGSTOP)
    while psutil.Process(server.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.001)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


async def test_nobody_is_gone_because_the_bus_cannot_be_seen(
    bus: Bus, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.bus.roster.IN_TOUCH_SECONDS", 0.3)
    loop = asyncio.get_running_loop()
    roster = Roster(AgentCard, gone_seconds=GONE_SECONDS)
    async with registered(bus, AGENTS, {"quick.w": CARD}), roster.watching(bus, AGENTS):
        await wait_until(lambda: roster.live() == [CARD], "the card")
        with frozen(server):
            until = loop.time() + 3 * GONE_SECONDS
            await wait_until(lambda: not roster.expected() or loop.time() > until, "longer than a card lives")
            assert roster.expected() == [CARD]
        await wait_until(lambda: not roster.expected() or roster.live() == [CARD], "a heartbeat")
        assert roster.expected() == [CARD]


async def test_a_flush_that_was_given_up_does_not_deafen(bus: Bus, server: EmbeddedServer) -> None:
    with frozen(server), pytest.raises(nats.errors.TimeoutError):
        await bus.client.flush(timeout=1)
    for _ in range(2):
        await bus.client.flush(timeout=30)
    assert await bus.api("INFO")
    assert bus.client.stats["reconnects"] == 0


async def lost_heartbeat(lease: Lease) -> None:
    pass


async def test_who_still_works_on_a_message_goes_on_when_it_comes_again(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a while in which no heartbeat came through."""
    monkeypatch.setattr(Lease, "heartbeat", lost_heartbeat)
    handled: list[int] = []
    gate = asyncio.Event()

    async def handle(lease: Lease) -> None:
        handled.append(lease.delivery)
        await gate.wait()
        await lease.ack()

    async def park_nothing(lease: Lease, error: Exception) -> None:
        pytest.fail(f"parked {lease.message.subject}: {error}")

    async def consumer(figure: str) -> int:
        return int((await bus.api(f"CONSUMER.INFO.{TRUNK}.w"))[figure])

    async def delivered_again() -> bool:
        return await consumer("num_redelivered") == 1

    async def done() -> bool:
        return await consumer("num_ack_pending") == 0

    async with LeaseLoop(bus, IMPATIENT, handle, park=park_nothing).running():
        await append(bus, RunKey.checked(new_run_id(), "c1").step("note", "w"), Note(what="x"))
        await wait_until(delivered_again, "the second delivery")
        gate.set()
        await wait_until(done, "the acknowledgement")
    assert handled == [1]
