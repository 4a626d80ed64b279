"""Without a platform: what is missing, and what to do about it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.conftest import BINARY, Trunkline
from trunkline.host.parent_death import die_with_parent
from trunkline.host.server import EmbeddedServer, find_server, free_port

COMMANDS = (("ask", "hello"), ("chat",), ("agents",), ("tools",), ("runs",), ("show", "x"), ("events",), ("route", "x"))


def alone(url: str) -> Trunkline:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRUNKLINE_", "NATS_"))}
    return Trunkline({**kept, "NATS_URL": url})


@pytest.fixture
def core_nats(tmp_path: Path) -> Iterator[str]:
    """A server without JetStream."""
    port = free_port()
    server = subprocess.Popen(
        [find_server(), "-a", "127.0.0.1", "-p", str(port), "-l", str(tmp_path / "nats.log")],
        preexec_fn=die_with_parent(),  # noqa: PLW1509  # no other thread runs in it
    )
    yield f"nats://127.0.0.1:{port}"
    server.terminate()
    server.wait(10)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_no_bus(words: tuple[str, ...]) -> None:
    """One line that says which bus, one that says what to do."""
    ended = alone(f"nats://127.0.0.1:{free_port()}")(*words)
    assert (ended.code, ended.out) == (1, "")
    assert "No bus at nats://127.0.0.1" in ended.err
    assert "trunkline up" in ended.err
    assert len(ended.err.splitlines()) == 2


def test_no_bus_in_json() -> None:
    ended = alone(f"nats://127.0.0.1:{free_port()}")("agents", "--json")
    assert (ended.code, ended.err) == (1, "")
    assert ended.json["error"]["code"] == "bus_unavailable"
    assert "trunkline up" in ended.json["error"]["hint"]


def test_the_url_option_wins_over_the_environment() -> None:
    ended = alone("nats://127.0.0.1:1")("status", "--url", "nats://127.0.0.1:2")
    assert "127.0.0.1:2" in ended.err


def test_a_bus_without_jetstream(core_nats: str) -> None:
    for words in (("ask", "hello"), ("status",), ("provision",)):
        ended = alone(core_nats)(*words)
        assert ended.code == 1
        assert "no JetStream" in ended.err
        assert "-js" in ended.err


async def test_a_bus_without_a_trunkline_can_be_provisioned(server: EmbeddedServer) -> None:
    trunkline = alone(server.url)
    before = trunkline("agents")
    assert before.code == 1
    assert "There is no Trunkline" in before.err
    status = trunkline("status")
    assert status.code == 1
    assert "trunkline provision" in status.out
    made = trunkline("provision", "--json").json
    assert "TRUNK" in made["created"]
    assert trunkline("agents", "--json").json == []
    assert "No agent is running" in trunkline("agents").out


def test_a_setting_that_cannot_be_used_is_named() -> None:
    ended = alone("nats://127.0.0.1:1")("agents", TRUNKLINE_BUS_PATIENCE="soon")
    assert ended.code == 2
    assert "bus_patience" in ended.err


def test_help_is_quick_and_needs_no_bus(tmp_path: Path) -> None:
    """In CPU time, the least of three, so that a busy machine does not matter; the run before compiles what an
    installation has.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    trunkline = Trunkline({**kept, "PYTHONPYCACHEPREFIX": str(tmp_path)})
    trunkline("--help")

    def spent() -> float:
        before = os.times()
        ended = trunkline("--help")
        after = os.times()
        assert ended.code == 0
        assert {"Ask", "Look", "Operate"} <= set(ended.out.replace("─", " ").split())
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(spent() for _ in range(3)) < 0.5
    assert trunkline("ask").code == 2


def test_no_command_imports_the_bus_before_it_runs() -> None:
    code = "import sys; from trunkline.cli.main import assembled; assembled(); print(sorted(HEAVY & set(sys.modules)))"
    heavy = {"nats", "pydantic", "pydantic_settings", "structlog", "faststream", "sqlalchemy", "trunkline.bus"}
    ended = subprocess.run(
        [str(BINARY.parent / "python"), "-c", code.replace("HEAVY", repr(heavy))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "[]"
