"""No room for the log: whoever asks is told what to do, and what was acknowledged is there when there is room again."""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.chaos.asking import Asking
from tests.chaos.checker import World, check
from tests.chaos.log import read_log
from tests.conftest import wait_until
from tests.nats_server import NatsServer
from tests.platform import Platform
from trunkline import Client
from trunkline.bus import Bus, append, provision
from trunkline.bus.provision import streams
from trunkline.cli.health import healths
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Request
from trunkline.contracts.subjects import ROUTER, TRUNK, RunKey

SUMS = Path(__file__).parent / "sums.py"
ROOM_BYTES = 30_000
ASKERS = 8
"""At once and without a pause: when the room is used up, there are runs under way."""
DISK_BYTES = 16 * 2**20
SPARE_BYTES = 2 * 2**20


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    started = Platform(tmp_path, SUMS)
    await started.start()
    try:
        yield started
    finally:
        await started.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of DISK_BYTES."""
    folder = tmp_path / "disk"
    folder.mkdir()
    size = f"size={DISK_BYTES}"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.timeout(240)
async def test_a_log_at_its_limit_says_so_and_goes_on_once_it_is_raised(platform: Platform) -> None:
    asking = Asking()
    async with Client.connect(platform.url) as client:
        bus = client.bus
        await limit(bus, (await used(bus)) + ROOM_BYTES)
        async with asking.going_on([bus] * ASKERS, pause=0.0):
            await wait_until(lambda: bool(asking.refused), "a request that is refused", seconds=60)
        with pytest.raises(BusUnavailable, match=r"The log is full.*Raise its limit.*max-bytes"):
            await client.ask("Add 1 and 2", agent="adder", timeout=20)
        await wait_until(lambda: in_trouble(bus), "a service that says why it cannot write")
        status = await trunkline(platform, "status")
        assert status.returncode == 1
        assert "cannot write to the log. The log is full" in " ".join(status.stdout.split())

        await limit(bus, -1)
        await asking.until_answered(bus)
        assert "3" in (await client.ask("Add 1 and 2", agent="adder", timeout=20)).text
        await wait_until(lambda: well(bus), "services that can write")
        assert (await trunkline(platform, "status")).returncode == 0
        assert check(await read_log(bus), World(acked=frozenset(asking.acked))) == []


async def test_a_full_disk_is_said_and_nothing_acknowledged_is_lost(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.import_module("trunkline.bus.append"), "TROUBLE_SECONDS", 1.0)
    server = NatsServer(small_disk / "bus", storage="max_file_store: 1GB")
    await server.start()
    try:
        async with Bus.open(server.url) as bus:
            await provision(bus)
            acked = [await request(bus)]
            ballast = small_disk / "ballast"
            ballast.write_bytes(bytes(free(small_disk) - SPARE_BYTES))
            with pytest.raises(BusUnavailable, match=r"takes no writes.*disk may be full.*restart nats-server"):
                await request_on(bus, acked)
            assert len(acked) > 10
            assert "no space left on device" in server.log
            assert "cannot write to the log" in capsys.readouterr().out

            ballast.unlink()
            await server.stop()
            await server.start()
            acked.append(await request(bus))
            assert [event.subject.run for event in (await read_log(bus)).events] == acked
            assert bus.trouble == ""
            assert "the log takes writes again" in capsys.readouterr().out
    finally:
        await server.stop()


async def test_a_bus_that_has_used_up_its_storage_says_so(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, storage="max_file_store: 1MB")
    await server.start()
    try:
        async with Bus.open(server.url) as bus:
            await bus.api(f"STREAM.CREATE.{TRUNK}", next(config for config in streams() if config["name"] == TRUNK))
            with pytest.raises(BusUnavailable, match=r"used up its storage.*max_file_store"):
                await request_on(bus, [])
    finally:
        await server.stop()


async def request_on(bus: Bus, acked: list[str]) -> None:
    """Until it fails."""
    while True:
        acked.append(await request(bus))


async def request(bus: Bus) -> str:
    """A large request's run, once it is acknowledged."""
    key = RunKey.checked(new_run_id(), new_conversation_id())
    await append(bus, key.step("request", ROUTER), Request(text="x" * 50_000), attempt_wait=0.5, wait=3.0)
    return key.run


async def limit(bus: Bus, max_bytes: int) -> None:
    config = (await bus.api(f"STREAM.INFO.{TRUNK}"))["config"]
    answer = await bus.api(f"STREAM.UPDATE.{TRUNK}", config | {"max_bytes": max_bytes})
    assert "error" not in answer


async def used(bus: Bus) -> int:
    return int((await bus.api(f"STREAM.INFO.{TRUNK}"))["state"]["bytes"])


async def in_trouble(bus: Bus) -> bool:
    return any("The log is full" in health.trouble for found in (await healths(bus)).values() for health in found)


async def well(bus: Bus) -> bool:
    return not any(health.trouble for found in (await healths(bus)).values() for health in found)


def free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


async def trunkline(platform: Platform, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("trunkline")), *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, env=platform.env, capture_output=True, text=True, timeout=30, check=False
    )
