"""Somebody asks in a terminal; the process that works on it is killed; the same terminal shows how it goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.integration.host.terminal import ENTRY, trunkline
from tests.integration.models.streams import DONE, events, openai_chunk
from trunkline.host.server import free_port

AGENT = """
from trunkline import Agent

tides = Agent("tides", description="Tides", examples=["When is high tide?"])
"""
CONFIG = """
[models]
small = "local:m"

[providers.local]
base_url = "http://127.0.0.1:{port}/v1"

[budgets]
unknown_price = "allow"
"""
READY = "Ctrl-C stops everything."
ANSWER = "High tide is at noon."


@dataclass
class Provider:
    """A model provider that leaves its first caller without an answer."""

    asked: int = 0
    _waiting: list[asyncio.StreamWriter] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """On the port that it gives, while inside."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for writer in self._waiting:
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        await reader.readexactly(int(length[1]) if length else 0)
        self.asked += 1
        if self.asked == 1:
            self._waiting.append(writer)
            return
        writer.write(events(openai_chunk({"content": ANSWER}), openai_chunk({}, finish="stop")) + DONE)
        await writer.drain()
        writer.close()


@pytest.mark.timeout(240)
async def test_a_killed_worker_is_replaced_under_the_eyes_of_who_asked(tmp_path: Path) -> None:
    port, provider = free_port(), Provider()
    (tmp_path / "tides.py").write_text(AGENT)
    async with provider.serving() as model:
        (tmp_path / "trunkline.toml").write_text(CONFIG.format(port=model))
        with trunkline(tmp_path, "up", "tides.py", "--port", str(port)) as platform:
            await wait_until(lambda: platform.has_said(READY), "the platform", seconds=60)
            asking = asyncio.create_task(asyncio.to_thread(typed, tmp_path, port, "ask", "When is high tide?"))
            await wait_until(lambda: provider.asked == 1, "the model to be asked", seconds=60)
            platform.family()
            platform.child("trunkline_agents").kill()
            code, shown = await asking
    lines = [line.strip() for line in shown]
    assert code == 0
    assert any(line.endswith("another worker of tides took over") for line in lines)
    assert ANSWER in lines
    assert provider.asked == 2


def typed(folder: Path, port: int, *words: str) -> tuple[int, list[str]]:
    """A command in a terminal of its own: its exit code, and what could be read there."""
    reading, terminal = os.openpty()
    command = subprocess.Popen(
        [sys.executable, "-c", ENTRY, *words],
        cwd=folder,
        env={**os.environ, "NATS_URL": f"nats://127.0.0.1:{port}", "COLUMNS": "100", "LINES": "30", "TERM": "xterm"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    seen = b""
    with contextlib.suppress(OSError):  # how Linux says that the other side has closed
        while chunk := os.read(reading, 4096):
            seen += chunk
    os.close(reading)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode()).replace("\r", "\n").splitlines()
    return command.wait(20), shown
