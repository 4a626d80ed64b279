"""The router as a process: told to stop, restarted, with a clock that is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import orjson
import pytest

from tests.conftest import wait_until
from tests.platform import Platform
from trunkline import Client
from trunkline.bus import Bus, append, fold
from trunkline.contracts.errors import BusUnavailable, RunFailed
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Request
from trunkline.contracts.subjects import ROUTER, RunKey, health

AGENTS = """
import asyncio
from pathlib import Path
from trunkline import Agent, Run

plain = Agent("plain")
slow = Agent("slow")
sleeper = Agent("sleeper")

@plain.flow
async def answer(run: Run) -> str:
    return run.text

@slow.flow
async def think(run: Run) -> str:
    while not Path(run.text).exists():
        await asyncio.sleep(0.02)
    return "done"

@sleeper.flow
async def wait(run: Run) -> str:
    await run.sleep(3600)
    return "good morning"
"""
SKEWED = """
import time
real = time.time
time.time = lambda: real() + {seconds}
time.time_ns = lambda: int(time.time() * 1e9)
"""


@contextlib.asynccontextmanager
async def running(folder: Path, env: Mapping[str, str] | None = None) -> AsyncIterator[tuple[Platform, Bus]]:
    file = folder / "agents.py"
    file.write_text(AGENTS)
    platform = Platform(folder, file, services=("router", "agents", "tools"), env=env)
    try:
        await platform.start()
        async with Bus.open(platform.url) as bus:
            yield platform, bus
    finally:
        await platform.stop()


async def asked(bus: Bus, text: str, agent: str = "plain") -> RunKey:
    key = RunKey.checked(new_run_id(), new_conversation_id())
    await append(bus, key.step("request", ROUTER), Request(text=text, agent=agent, first=True))
    return key


async def kinds(bus: Bus, key: RunKey) -> list[str]:
    return [event.subject.kind for event in await fold(bus, key.everything)]


@pytest.mark.timeout(240)
async def test_a_router_that_is_told_to_stop_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """SIGTERM while three hundred requests are on their way; the next router does what is left."""
    async with running(tmp_path) as (platform, bus):
        asking = asyncio.gather(*(asked(bus, str(number)) for number in range(300)))
        await wait_until(lambda: _any_task(bus), "the first task")
        os.kill(platform.pid("router"), signal.SIGTERM)
        keys = await asking
        await wait_until(lambda: not platform.alive("router"), "the router to leave", seconds=60)
        await platform.restart("router")

        async def all_answered() -> bool:
            return len(await fold(bus, "trunk.*.*.*.answer.client.*")) == len(keys)

        await wait_until(all_answered, "three hundred answers", seconds=60)
        for key in keys:
            assert await kinds(bus, key) == ["request", "task", "answer"]


@pytest.mark.timeout(240)
async def test_a_service_that_drains_is_alive_and_not_ready(tmp_path: Path) -> None:
    """Nobody sends it work any more, and what it has is finished."""
    gate = tmp_path / "gate"
    async with running(tmp_path) as (platform, bus):
        key = await asked(bus, str(gate), "slow")
        await wait_until(lambda: _has(bus, key, "task"), "the task")
        os.kill(platform.pid("agents"), signal.SIGTERM)
        await wait_until(lambda: _is_ready(bus, "agents", expected=False), "the agents to say that they are not ready")
        assert platform.alive("agents")
        gate.touch()
        await wait_until(lambda: not platform.alive("agents"), "the agents to leave", seconds=60)
        assert await kinds(bus, key) == ["request", "task", "answer"]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seconds", [3600, -3600])
async def test_clocks_that_are_wrong_do_not_matter(tmp_path: Path, seconds: int) -> None:
    """Router, agents and tools are an hour ahead or behind: a deadline is on the server's clock."""
    (tmp_path / "sitecustomize.py").write_text(SKEWED.format(seconds=seconds))
    found_first = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    async with running(tmp_path, {"PYTHONPATH": found_first}) as (_, bus):
        client = Client(bus)
        assert (await client.ask("in time", agent="plain", deadline=30, timeout=20)).text == "in time"
        with pytest.raises(RunFailed, match="had not ended after") as late:
            await client.ask("never", agent="sleeper", deadline=1, timeout=20)
        assert late.value.data["code"] == "deadline_passed"


async def _any_task(bus: Bus) -> bool:
    return bool(await fold(bus, "trunk.*.*.*.task.>"))


async def _has(bus: Bus, key: RunKey, kind: str) -> bool:
    return kind in await kinds(bus, key)


async def _is_ready(bus: Bus, service: str, *, expected: bool) -> bool:
    try:
        reply = await bus.mailbox.request(health(service), b"", wait=1.0)
    except BusUnavailable:
        return False
    return bool(orjson.loads(reply.data)["ready"] is expected)
