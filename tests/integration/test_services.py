"""Services as processes: what they say when they cannot start, what they answer, what they weigh."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import orjson
import psutil
import pytest

from tests.conftest import wait_until
from tests.platform import Platform
from trunkline.bus import Bus, append, fold
from trunkline.bus.registry import AGENTS
from trunkline.client.query import query
from trunkline.contracts.errors import CallerMistake, NotFound
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Request
from trunkline.contracts.subjects import RunKey
from trunkline.host.server import EmbeddedServer, free_port

ROUTER_MIB = 200
AGENT = """
from trunkline import Agent, tool

@tool
def add(a: int, b: int) -> int:
    "Add two numbers."
    return a + b

plain = Agent("plain", description="Sums", examples=["Add 1 and 2"], tools=[add], model={model!r})
"""


def agent_file(folder: Path, model: str = "small") -> Path:
    file = folder / "plain.py"
    file.write_text(AGENT.format(model=model))
    return file


def start(module: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a service that is expected to leave by itself."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_KEY", "_URL", "_HOST"))}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=kept | {"TRUNKLINE_BUS_WAIT": "1", "TRUNKLINE_LOG_FORMAT": "json"} | env,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line in which it says why."""
    assert "Traceback" not in done.stderr
    said = [orjson.loads(line) for line in done.stderr.splitlines()]
    line = next(line for line in said if line.get("action") == "cannot_start")
    return f"{line['event']} {line['hint']}"


@pytest.mark.parametrize("module", ["trunkline_router", "trunkline_ledger"])
def test_without_a_bus_a_service_says_so_and_leaves(module: str, tmp_path: Path) -> None:
    done = start(module, NATS_URL=f"nats://127.0.0.1:{free_port()}", TRUNKLINE_DATA=str(tmp_path))
    assert done.returncode == 1
    assert "No bus at" in complaint(done)
    assert "trunkline up" in complaint(done)


@pytest.mark.parametrize(
    ("module", "variable", "value"),
    [
        ("trunkline_router", "TRUNKLINE_ROUTER_CACHE", "disk"),
        ("trunkline_agents", "TRUNKLINE_MODEL_CACHE", "disk"),
        ("trunkline_ledger", "TRUNKLINE_BUS_WAIT", "0"),
        ("trunkline_tools", "TRUNKLINE_LOG_LEVEL", "loud"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(module: str, variable: str, value: str) -> None:
    """With the code for what another start would not mend."""
    done = start(module, **{variable: value})
    assert done.returncode == 2
    assert f"{variable} cannot be used" in complaint(done)
    assert f"'{value}'" not in complaint(done)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("nonsense:m-1", "nonsense"),
        ("openai:gpt-6-luna", "OPENAI_API_KEY"),
        ("medium", "There is no tier 'medium'"),
    ],
)
def test_a_model_that_cannot_be_reached_is_said_before_anything_is_taken(
    tmp_path: Path, model: str, expected: str
) -> None:
    done = start("trunkline_agents", str(agent_file(tmp_path, model)))
    assert done.returncode == 2
    assert expected in complaint(done)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def broken(:\n", "plain.py:1"),
        ("import nowhere\n", "nowhere"),
        ("x = 1\n", "declares no"),
    ],
)
@pytest.mark.parametrize("module", ["trunkline_agents", "trunkline_tools"])
async def test_a_broken_file_is_said_with_its_place(
    module: str, source: str, expected: str, tmp_path: Path, server: EmbeddedServer
) -> None:
    file = tmp_path / "plain.py"
    file.write_text(source)
    done = await asyncio.to_thread(start, module, str(file), NATS_URL=server.url)
    assert done.returncode == 2
    assert expected in complaint(done)


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    started = Platform(tmp_path, agent_file(tmp_path), env={"TRUNKLINE_HTTP": ""})
    await started.start()
    try:
        yield started
    finally:
        await started.stop()


async def test_edges_answer_with_a_value_or_a_typed_error(platform: Platform) -> None:
    async with Bus.open(platform.url) as bus:
        assert (await query(bus, "router", "route", text="Add 1 and 2"))["agent"] == "plain"
        with pytest.raises(CallerMistake, match="nonsense: Extra inputs"):
            await query(bus, "ledger", "runs", nonsense=1)
        with pytest.raises(NotFound, match="No run"):
            await query(bus, "ledger", "run", run="none")
        for subject in ("query.ledger.runs", "query.router.route"):
            reply = await bus.mailbox.request(subject, b"\xff\x00 no json")
            assert orjson.loads(reply.data)["error"]["code"] == "invalid_arguments"


async def test_a_router_is_small(platform: Platform) -> None:
    assert psutil.Process(platform.pid("router")).memory_info().rss / 2**20 < ROUTER_MIB


async def test_garbage_in_the_registry_is_left_out(platform: Platform) -> None:
    async with Bus.open(platform.url) as bus:
        for number, raw in enumerate((b"", b"\xff\x00", b"[]", b'{"agent":7}')):
            await bus.client.publish(f"$KV.{AGENTS}.plain.w{number}", raw)
        await bus.client.publish(f"$KV.{AGENTS}.oddly.deep.key", b"{}")
        assert (await query(bus, "router", "route", text="Add 1 and 2"))["agent"] == "plain"


async def test_a_service_told_to_stop_finishes_what_it_holds(platform: Platform) -> None:
    """SIGTERM while requests are on their way: every one of them is answered once the service is back."""
    async with Bus.open(platform.url) as bus:
        keys = [RunKey.checked(new_run_id(), new_conversation_id()) for _ in range(30)]
        for key in keys:
            await append(bus, key.step("request", "router"), Request(text="Add 1 and 2"))
        os.kill(platform.pid("agents"), signal.SIGTERM)
        await wait_until(lambda: not platform.alive("agents"), "the agents to leave")
        await platform.restart("agents")

        async def all_answered() -> bool:
            folds = [await fold(bus, key.everything) for key in keys]
            return all(events[-1].subject.kind == "answer" for events in folds)

        await wait_until(all_answered, "thirty answers", seconds=60)


async def test_an_http_port_in_use_is_said(tmp_path: Path, server: EmbeddedServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        done = await asyncio.to_thread(
            start, "trunkline_router", NATS_URL=server.url, TRUNKLINE_HTTP=where, TRUNKLINE_DATA=str(tmp_path)
        )
    assert done.returncode == 2
    assert f"Nothing can listen at {where}" in complaint(done)


async def test_health_and_the_document_are_served_over_http(tmp_path: Path, server: EmbeddedServer) -> None:
    port = free_port()
    env = os.environ | {
        "NATS_URL": server.url,
        "TRUNKLINE_HTTP": f"127.0.0.1:{port}",
        "TRUNKLINE_DATA": str(tmp_path),
        "TRUNKLINE_LOG_LEVEL": "error",
    }
    router = subprocess.Popen([sys.executable, "-m", "trunkline_router"], env=env)  # noqa: ASYNC220  # returns at once
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:

            async def ready() -> bool:
                try:
                    return (await http.get("/ready")).status_code == 200
                except httpx2.TransportError:
                    return False

            await wait_until(ready, "the router to be ready", seconds=60)
            live = (await http.get("/live")).json()
            document = (await http.get("/asyncapi.json")).json()
    finally:
        router.terminate()
        await asyncio.to_thread(router.wait, 20)
    assert (live["service"], live["ready"], live["bus"]) == ("router", True, True)
    assert {"request", "answer", "router.route"} <= set(document["channels"])
    assert router.returncode == 0
