"""Two real servers for the model clients: aimock, which speaks every provider's protocol, and one that misbehaves."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from trunkline.host.parent_death import die_with_parent
from trunkline.models import Models, ModelSettings, open_models

HERE = Path(__file__).parent
NPM = HERE.parents[1] / "npm" / "node_modules"
KEY = "the-secret-key"
MODELS = {
    "openai": "openai:gpt-6-luna",
    "openai-responses": "openai-responses:gpt-6-luna",
    "anthropic": "anthropic:claude-haiku-5-5",
    "google": "google:gemini-3.5-flash-lite",
    "ollama": "ollama:llama3.2",
    "house": "house:any/model",
}
KEY_VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "HOUSE_KEY")


@dataclass
class Aimock:
    """The running double. Its scenarios are in aimock.json, chosen by what the user says."""

    url: str

    def requests(self, model: str) -> list[dict[str, Any]]:
        """What it was sent for this model, in one shape for all providers, oldest first."""
        with urllib.request.urlopen(f"{self.url}/__aimock/journal", timeout=5) as reply:
            journal: list[dict[str, Any]] = json.load(reply)
        name = model.partition(":")[2]
        return [entry["body"] for entry in journal if entry["body"]["model"] == name]


@dataclass
class Canned:
    """Answers every request with the same bytes, then closes, goes on forever, or says nothing more."""

    reply: bytes
    trickle: bytes = b""
    close: bool = True
    requests: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    first_byte: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        self.bodies.append(json.loads(await reader.readexactly(length)))
        writer.write(self.reply)
        await writer.drain()
        self.first_byte.set()
        try:
            while self.trickle and not reader.at_eof():
                writer.write(self.trickle)
                await writer.drain()
                await asyncio.sleep(0.02)
            if not self.close:
                await reader.read()
        except ConnectionError:
            pass
        self.left.set()
        writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Canned]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self


@pytest.fixture(scope="session")
def aimock() -> Iterator[Aimock]:
    installed = Path(os.environ.get("TRUNKLINE_TEST_NPM", NPM)) / "@copilotkit" / "aimock" / "dist" / "cli.js"
    node = shutil.which("node")
    if node is None or not installed.exists():
        pytest.fail(f"{installed} or node is missing; `make test` installs the servers that the tests talk to.")
    command = [node, str(installed), "--port", "0", "--fixtures", str(HERE / "aimock.json"), "--validate-on-load"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=die_with_parent(),  # noqa: PLW1509  # no other thread runs in it
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if "listening on" in line:
                break
        else:
            pytest.fail(f"aimock ended with {process.wait()}: {''.join(said)}")
        yield Aimock(said[-1].split()[-1])
        process.kill()


@pytest.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Models]]:
    """Opens the real client against a server's address; every provider is told to look there."""
    opened: list[Models] = []
    for variable in KEY_VARIABLES:
        monkeypatch.setenv(variable, KEY)

    def open_client(url: str, timeout_seconds: float = 20.0, **models: float) -> Models:
        tables = [f"[models]\ntimeout_seconds = {timeout_seconds}", *(f"{key} = {models[key]}" for key in models)]
        for provider in MODELS:
            base = url if provider in {"anthropic", "google"} else f"{url}/v1"
            tables.append(f'[providers.{provider}]\nbase_url = "{base}"')
        config = tmp_path / "trunkline.toml"
        config.write_text("\n".join([*tables, 'api_key_env = "HOUSE_KEY"']))
        opened.append(open_models(ModelSettings.load(config)))
        return opened[-1]

    yield open_client
    for models in opened:
        await models.close()
