"""The product's protocol under crashes, freezes and losses: many seeds, on which no law may break."""

from __future__ import annotations

import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.simulation.campaign import be_quiet, campaign, command, replay

SEEDS = 18_000


@pytest.mark.timeout(900)
def test_no_law_is_broken() -> None:
    totals = campaign(0, SEEDS)
    assert [(outcome.breach, command(outcome.seed)) for outcome in totals.breaches] == []
    assert totals.seeds == SEEDS
    assert totals.takeovers > SEEDS // 2, "too tame: hardly anybody took over"
    assert totals.refused > SEEDS // 10, "too tame: hardly anybody was refused"
    assert totals.refunded > SEEDS // 10, "too tame: hardly anything was left to the refunds"


def test_a_seed_is_the_same_history_in_every_process_and_after_any_other() -> None:
    seeds = range(200)
    assert _histories(seeds) == _histories(seeds[::-1])[::-1]


def _histories(seeds: range) -> list[list[str]]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=be_quiet) as elsewhere:
        return list(elsewhere.map(_history, seeds))


def _history(seed: int) -> list[str]:
    """What happened, without the bodies, whose event ids are drawn anew each time."""
    lines: list[str] = []
    replay(seed, "", lines.append)
    return [re.sub(r"\{.*", "", line) for line in lines]
