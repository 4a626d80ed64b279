"""A card is as old as its last heartbeat, whoever looks and since whenever."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from tests.conftest import wait_until
from trunkline.bus import Bus
from trunkline.bus.registry import AGENTS, registered
from trunkline.bus.roster import Roster, cards_now
from trunkline.contracts.codec import encode
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.registry import AgentCard
from trunkline.host.server import EmbeddedServer

QUICK = AgentCard(agent="quick", worker="w", beat_seconds=1)
GONE_SECONDS = 6.0


@dataclass
class Cards:
    """A bucket in which cards are put that nobody keeps alive."""

    bus: Bus

    async def put(self, card: AgentCard) -> None:
        await self.bus.mailbox.request(f"$KV.{AGENTS}.{card.agent}.{card.worker}", encode(card))


def roster() -> Roster[AgentCard]:
    return Roster(AgentCard, gone_seconds=GONE_SECONDS)


async def test_a_dead_workers_card_is_no_fresher_to_who_looks_later(bus: Bus) -> None:
    """Whoever starts now takes it for late, then gone, when those do who heard it; and not for 20 s alive."""
    await Cards(bus).put(QUICK)
    async with roster().watching(bus, AGENTS) as first:
        assert first.live() == [QUICK]
        await wait_until(lambda: not first.live(), "the card is late")
        async with roster().watching(bus, AGENTS) as second:
            assert [(each.card, each.late) for each in second.present()] == [(QUICK, True)]
        await wait_until(lambda: not first.expected(), "the card is gone")
        async with roster().watching(bus, AGENTS) as third:
            assert third.present() == []


async def test_a_worker_that_beats_stays_alive(bus: Bus) -> None:
    async with registered(bus, AGENTS, {"quick.w": QUICK}), roster().watching(bus, AGENTS) as watching:
        loop = asyncio.get_running_loop()
        until = loop.time() + 1.2 * GONE_SECONDS
        await wait_until(lambda: not watching.expected() or loop.time() > until, "longer than a card lives")
        assert watching.live() == [QUICK]
    async with roster().watching(bus, AGENTS) as after:
        assert after.present() == []


async def test_a_card_whose_heartbeats_are_far_apart_is_alive_between_them(bus: Bus) -> None:
    slow = AgentCard(agent="slow", worker="w", beat_seconds=60)
    await Cards(bus).put(slow)
    async with Roster(AgentCard, gone_seconds=0.0).watching(bus, AGENTS) as watching:
        assert watching.live() == watching.expected() == [slow]


async def test_the_first_look_is_complete_however_many_cards(bus: Bus) -> None:
    cards = [AgentCard(agent="many", worker=f"w{number}") for number in range(1200)]
    for first in range(0, len(cards), 100):  # so that none waits long for its acknowledgement
        await asyncio.gather(*(Cards(bus).put(card) for card in cards[first : first + 100]))
    assert len(await cards_now(bus, AGENTS, AgentCard)) == len(cards)


async def test_a_look_tells_late_from_fresh(bus: Bus) -> None:
    await Cards(bus).put(QUICK)

    async def late() -> bool:
        return [each.late for each in await cards_now(bus, AGENTS, AgentCard)] == [True]

    await wait_until(late, "the card is late")
    await Cards(bus).put(QUICK)
    assert [(each.card, each.late) for each in await cards_now(bus, AGENTS, AgentCard)] == [(QUICK, False)]


async def test_a_bus_without_buckets_is_said_at_once(server: EmbeddedServer) -> None:
    async with Bus.open(server.url) as bus:
        with pytest.raises(BusUnavailable, match="no stream KV_agents"):
            await cards_now(bus, AGENTS, AgentCard)


async def test_who_left_without_a_word_is_forgotten(bus: Bus) -> None:
    roster = Roster(AgentCard, gone_seconds=0.2)
    stays = AgentCard(agent="stays", worker="w", beat_seconds=0.05)
    async with roster.watching(bus, AGENTS), registered(bus, AGENTS, {"stays.w": stays}):
        lost = AgentCard(agent="lost", worker="w", beat_seconds=0.05)
        await bus.mailbox.request(f"$KV.{AGENTS}.lost.w", encode(lost))
        await wait_until(lambda: len(roster._cards) == 2, "both cards")
        await wait_until(lambda: list(roster._cards) == ["stays.w"], "the lost one is forgotten")
