"""`trunkline up`: the whole platform as a person runs it; `trunkline run` joins it, and Ctrl-C ends it."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.integration.host.terminal import Command, trunkline
from trunkline import Client
from trunkline.host.server import EmbeddedServer, free_port

AGENTS = """
import time
from typing import Literal
from trunkline import Agent, tool

@tool
def opening_hours(day: Literal["Monday", "Friday"]) -> str:
    "When the shop opens on a day."
    return f"On {day} from 9 to 17"

@tool(timeout=60)
def count_slowly(shelf: str) -> str:
    "Count slowly what is on a shelf."
    time.sleep(40)
    return f"{shelf}: counted"

shop = Agent("shop", description="The shop: opening hours", examples=["When do you open on Monday?"],
             tools=[opening_hours, count_slowly])
"""
READY = "Ctrl-C stops everything."


def up(folder: Path, port: int, *arguments: str) -> tuple[str, ...]:
    (folder / "shop.py").write_text(AGENTS)
    return ("up", "shop.py", "--port", str(port), *arguments)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Command, str, Path]]:
    """One platform for the tests of joining: the command, the bus's address, its folder."""
    folder, port = tmp_path_factory.mktemp("up"), free_port()
    with trunkline(folder, *up(folder, port)) as command:
        asyncio.run(wait_until(lambda: command.has_said(READY), "the platform", seconds=60))
        yield command, f"nats://127.0.0.1:{port}", folder


async def test_it_says_what_runs_and_answers(platform: tuple[Command, str, Path]) -> None:
    command, url, _ = platform
    for name in ("bus", "router", "agents", "tools", "ledger"):
        assert f"✔ {name}" in command.said
    assert 'trunkline ask "When do you open on Monday?"' in command.said
    assert "\x1b" not in command.said
    assert "[info" not in command.said
    async with Client.connect(url) as client:
        reply = await client.ask("When do you open on Monday? Tell me the opening hours.", timeout=20)
    assert (reply.agent, reply.text) == ("shop", "On Monday from 9 to 17.")


async def test_only_agents_get_provider_keys(platform: tuple[Command, str, Path]) -> None:
    command, _, folder = platform
    with trunkline(folder, "up", "--port", str(free_port()), "--data", "keys", OPENAI_API_KEY="sk-secret") as other:
        await wait_until(lambda: other.has_said(READY), "the platform", seconds=60)
        have = {name: "OPENAI_API_KEY" in other.child(f"trunkline_{name}").environ() for name in ("agents", "tools")}
    assert have == {"agents": True, "tools": False}
    assert command.running()


async def test_a_new_agent_joins_and_leaves(platform: tuple[Command, str, Path]) -> None:
    """Nothing restarts: routed there as soon as it is registered, and no longer once it has left."""
    command, url, folder = platform
    with trunkline(folder, "new", "agent", "garden") as new:
        assert new.wait() == 0
    before = {each.pid for each in command.family()}
    question = "What are the garden opening hours?"
    async with Client.connect(url) as client:
        with trunkline(folder, "run", "garden.py", NATS_URL=url) as joining:
            await wait_until(lambda: joining.has_said("garden is registered"), "registration", seconds=60)
            said: list[str] = []

            async def garden() -> bool:
                reply = await client.ask(question, timeout=20)
                said[:] = [reply.agent, reply.text]
                return reply.agent == "garden"

            await wait_until(garden, "a question for the new agent", seconds=10)
            assert said == ["garden", "Monday to Friday, 9 to 17."]
            assert f"export NATS_URL={url}" in joining.said
            joining.interrupt()
            assert joining.wait() == 0
            assert [each.cmdline() for each in joining.family()] == []
        assert (await client.ask(question, timeout=20)).agent != "garden"
    assert {each.pid for each in command.family()} == before


async def test_a_killed_service_is_there_again(platform: tuple[Command, str, Path]) -> None:
    command, url, _ = platform
    router = command.child("trunkline_router")
    router.kill()
    await wait_until(lambda: command.has_said("is there again"), "the router again", seconds=60)
    assert "router  was ended by SIGKILL; starting it again in 0.2 s" in command.said
    async with Client.connect(url) as client:
        assert (await client.ask("When do you open on Friday? The opening hours?", timeout=20)).agent == "shop"


async def test_a_killed_bus_is_there_again_with_its_log(platform: tuple[Command, str, Path]) -> None:
    command, url, _ = platform
    async with Client.connect(url) as client:
        asked = await client.ask("When do you open on Friday? The opening hours?", timeout=20)
        command.child("nats-server").kill()
        await wait_until(lambda: command.has_said("bus     is there again"), "the bus again", seconds=60)
    async with Client.connect(url) as client:
        items = [item async for item in client.watch(asked.run, asked.conversation, timeout=20)]
        assert getattr(items[-1], "text", "") == asked.text
        assert (await client.ask("When do you open on Monday? The opening hours?", timeout=30)).agent == "shop"


async def test_a_bus_of_ones_own_is_used(server: EmbeddedServer, tmp_path: Path) -> None:
    """And is still there afterwards."""
    with trunkline(tmp_path, "up", NATS_URL=server.url) as command:
        await wait_until(lambda: command.has_said(READY), "the platform", seconds=60)
        assert not any("nats-server" in " ".join(each.cmdline()) for each in command.family())
        command.interrupt()
        assert command.wait() == 0
    assert f"yours, {server.url}" in command.said
    assert server.alive()


async def test_ctrl_c_stops_everything(tmp_path: Path) -> None:
    with trunkline(tmp_path, *up(tmp_path, free_port())) as command:
        await wait_until(lambda: command.has_said(READY), "the platform", seconds=60)
        command.interrupt()
        assert command.wait() == 0
        assert command.family() == []
    assert "Stopped." in command.said


async def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    """The first waits for the work under way, which would take its drain time."""
    port = free_port()
    with trunkline(tmp_path, *up(tmp_path, port)) as command:
        await wait_until(lambda: command.has_said(READY), "the platform", seconds=60)
        async with Client.connect(f"nats://127.0.0.1:{port}") as client:
            async for item in client.stream("Count slowly what is on the shelf Nine", agent="shop"):
                if getattr(item, "kind", "") == "call":
                    break
        command.interrupt()
        await wait_until(lambda: command.has_said("Stopping"), "stopping")
        command.interrupt()
        assert command.wait(seconds=20) == 130
        await wait_until(lambda: command.family() == [], "no process left")


async def test_nothing_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    with trunkline(tmp_path, *up(tmp_path, free_port())) as command:
        await wait_until(lambda: command.has_said(READY), "the platform", seconds=60)
        family = command.family()
        family[0].send_signal(signal.SIGKILL)
        command.wait()
        await wait_until(lambda: command.family() == [], "no process left", seconds=60)


async def test_a_port_in_use_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with trunkline(tmp_path, "up", "--port", str(taken.getsockname()[1])) as command:
            assert command.wait() == 1
    assert "is in use" in command.said
    assert "--port" in command.said
    assert not (tmp_path / ".trunkline").exists()


@pytest.mark.parametrize("arguments", [("up",), ("run",)])
async def test_a_broken_file_is_said_with_its_line_before_anything_starts(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "broken.py").write_text("from trunkline import Agent\n\nshop = Agent('a b')\n")
    with trunkline(tmp_path, *arguments, "broken.py") as command:
        assert command.wait() == 2
    assert f"{tmp_path / 'broken.py'}:3:" in command.said
    assert not (tmp_path / ".trunkline").exists()


async def test_a_second_platform_in_the_same_folder_is_refused(platform: tuple[Command, str, Path]) -> None:
    _, _, folder = platform
    with trunkline(folder, "up", "--port", str(free_port())) as command:
        assert command.wait() == 2
    assert "is in use by a running `trunkline up`" in command.said
