"""A replica that lags behind serves a fold without what was paid last: it is looked up before it is paid again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fundamentals.conftest import Platform, kinds
from trunkline import Agent
from trunkline.bus import Bus, Recorded, append, fold
from trunkline.contracts.codec import Event
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.messages import Answer, Fact, Model
from trunkline.contracts.subjects import Subject

TALKER = Agent("talker", description="Talks", examples=["Hello"])


async def test_what_a_lagging_replica_does_not_know_is_not_paid_again(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first delivery pays and then fails; the second one is served a fold from before the payment."""
    stale: list[Event] = []

    async def fold_before_the_payment(bus: Bus, *filters: str, at_least: int = 0) -> list[Event]:
        events = await fold(bus, *filters, at_least=at_least)
        stale.extend(event for event in events if isinstance(event.fact, Model))
        return [event for event in events if not isinstance(event.fact, Model)]

    async def fail_to_answer_once(bus: Bus, subject: Subject, fact: Fact, **how: Any) -> Recorded:
        if isinstance(fact, Answer) and not stale:
            raise BusUnavailable("The bus is away.")
        return await append(bus, subject, fact, **how)

    monkeypatch.setattr("trunkline.worker.turn.fold", fold_before_the_payment)
    monkeypatch.setattr("trunkline.worker.turn.append", fail_to_answer_once)
    async with platform.run(TALKER):
        _, events = await platform.ask("Hello", agent="talker")
    assert stale, "no fold was stale"
    assert len(platform.model.asked) == 1
    assert kinds(events).count("prompt") == 1
