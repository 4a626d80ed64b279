"""The simulation bites: whoever breaks the protocol is caught, by the law that was broken."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.simulation.campaign import be_quiet, simulate_chunk
from tests.simulation.mutants import MUTANTS


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[ProcessPoolExecutor]:
    """A process in which the product may be broken."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=be_quiet) as pool:
        yield pool


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught_by_its_law(name: str, elsewhere: ProcessPoolExecutor) -> None:
    mutant = MUTANTS[name]
    breaches = elsewhere.submit(simulate_chunk, 0, mutant.seeds, name).result().breaches
    assert breaches, f"{mutant.seeds} seeds, and nobody noticed"
    law, how = breaches[0].breach or ("", "")
    assert law == mutant.law, f"seed {breaches[0].seed}: {how}"
