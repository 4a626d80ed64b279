"""The product's protocol under crashes, freezes and losses: many seeds, on which no law may break."""

from __future__ import annotations

import re

import pytest

from tests.simulation.campaign import campaign, command, replay

SEEDS = 20_000


@pytest.mark.timeout(600)
def test_no_law_is_broken() -> None:
    totals = campaign(0, SEEDS)
    assert [(outcome.breach, command(outcome.seed)) for outcome in totals.breaches] == []
    assert totals.seeds == SEEDS
    assert totals.takeovers > SEEDS // 2, "too tame: hardly anybody took over"


def test_a_seed_is_always_the_same_history() -> None:
    def history(seed: int) -> list[str]:
        lines: list[str] = []
        replay(seed, "", lines.append)
        return [re.sub(r"\{.*", "", line) for line in lines]

    assert [history(seed) for seed in range(5)] == [history(seed) for seed in range(5)]
