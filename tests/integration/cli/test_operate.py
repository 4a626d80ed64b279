"""The commands that operate: the ledger read again, the document of the platform."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.cli.conftest import SHOP, Trunkline
from tests.platform import Platform
from trunkline.contracts.subjects import KINDS


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Platform]:
    """A platform whose ledger this test may stop."""
    started = Platform(tmp_path, SHOP)
    await started.start()
    try:
        yield started
    finally:
        await started.stop()


@pytest.mark.timeout(240)
async def test_the_ledger_can_be_dropped_and_read_again(own: Platform) -> None:
    trunkline = Trunkline(own.env)
    asked = await asyncio.to_thread(trunkline, "ask", "What is the status of invoice 1042?", "--json")
    before = await asyncio.to_thread(trunkline, "show", asked.json["run"], "--json")
    same = await asyncio.to_thread(trunkline, "ledger", "rebuild", "--check", "--json")
    assert (same.code, same.json["differing"]) == (0, [])

    refused = await asyncio.to_thread(trunkline, "ledger", "rebuild")
    assert refused.code == 2
    assert "Stop the ledger" in refused.err + refused.out

    await own.kill("ledger")
    rebuilt = await asyncio.to_thread(trunkline, "ledger", "rebuild", "--json")
    assert (rebuilt.code, rebuilt.json["sequence"]) == (0, same.json["sequence"])
    await own.restart("ledger")
    after = await asyncio.to_thread(trunkline, "show", asked.json["run"], "--json")
    assert after.json == before.json


@pytest.mark.timeout(240)
async def test_the_document_describes_the_log_and_the_services_that_run(own: Platform, tmp_path: Path) -> None:
    trunkline, file = Trunkline(own.env), tmp_path / "asyncapi.json"
    ended = await asyncio.to_thread(trunkline, "asyncapi", "--output", str(file))
    assert ended.code == 0
    channels = set(json.loads(file.read_text())["channels"])
    assert KINDS | {"live", "router.route", "ledger.runs", "agents.health", "tools.health"} <= channels
    alone = await asyncio.to_thread(trunkline, "asyncapi", "--log-only")
    assert set(alone.json["channels"]) == KINDS | {"live"}
