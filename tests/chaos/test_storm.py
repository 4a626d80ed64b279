"""Half a minute of every kind of fault on the real platform under load, and the checker on what it left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.faults import FAKETIME, Fault, Kind, plan
from tests.chaos.storm import Weather, brave

SEED = 11
WEATHER = Weather(
    seed=SEED,
    counts={
        Kind.KILL: 8,
        Kind.FREEZE: 4,
        Kind.SERVER_KILL: 2,
        Kind.SERVER_FREEZE: 1,
        Kind.DUPLICATE: 3,
        Kind.POISON: 4,
        Kind.SLOW_READER: 1,
        Kind.LEDGER_LOCK: 1,
        Kind.LEDGER_ROLLBACK: 1,
        Kind.CLOCK_SKEW: 1,
        Kind.ROLLING: 2,
    },
    seconds=25,
    at_once=10,
    ack_wait=3.0,
)


@pytest.mark.timeout(180)
async def test_half_a_minute_of_every_fault_breaks_no_law(tmp_path: Path) -> None:
    outcome = await brave(WEATHER, tmp_path, print)
    assert outcome.problems == [], f"seed {SEED}"
    assert outcome.asked.right > 20, f"too little load to prove anything: {outcome.asked}"
    happened = set(outcome.happened)
    expected = set(Kind) if FAKETIME.exists() else set(Kind) - {Kind.CLOCK_SKEW}
    assert happened == expected, f"did not happen: {expected - happened}; {outcome.skipped}"
    assert outcome.extra.takeovers > 0, "no fault hit anything"
    assert outcome.replayed >= outcome.asked.right


def test_a_plan_follows_from_its_seed() -> None:
    counts = {Kind.KILL: 9, Kind.FREEZE: 4, Kind.SERVER_FREEZE: 2}
    faults = planned(1)
    assert faults == planned(1)
    assert faults != planned(2)
    assert {kind: sum(fault.kind is kind for fault in faults) for kind in counts} == counts
    assert all(0 <= fault.at < 60 for fault in faults)
    assert {fault.victim for fault in faults if fault.kind is Kind.KILL} >= {"router", "tools-2", "agents-3", "ledger"}
    assert all(fault.lasts > 10 for fault in faults if fault.kind is Kind.FREEZE)


def planned(seed: int) -> list[Fault]:
    return plan(seed, {Kind.KILL: 9, Kind.FREEZE: 4, Kind.SERVER_FREEZE: 2}, 60.0, ack_wait=10.0)
