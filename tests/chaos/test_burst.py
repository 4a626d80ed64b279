"""More requests at once than there are hands: all are answered, nobody grows without bound, nothing is left over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.burst import burst
from tests.chaos.checker import World, check
from tests.chaos.log import read_log
from tests.platform import Platform
from trunkline.bus import Bus

SUMS = Path(__file__).parent / "sums.py"
REQUESTS = 1_500
MOST_MIB = 500
REFUSALS = {"busy"}


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    started = Platform(tmp_path, SUMS)
    try:
        await started.start()
        yield started
    finally:
        await started.stop()


@pytest.mark.timeout(240)
async def test_a_burst_is_worked_off(platform: Platform) -> None:
    found = await burst(platform, REQUESTS, seconds=180)
    assert found.answers == REQUESTS
    assert found.codes.keys() <= REFUSALS
    assert set(found.left.values()) == {0}
    assert {name: mib for name, mib in found.peak.items() if mib > MOST_MIB} == {}
    async with Bus.open(platform.url) as bus:
        assert check(await read_log(bus), World()) == []
