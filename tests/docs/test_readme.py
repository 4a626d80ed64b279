"""Every snippet of the README is executed, in its order, as a reader would."""

from __future__ import annotations

import asyncio
import fnmatch
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import wait_until
from trunkline.budget import BudgetSettings
from trunkline.bus import Bus
from trunkline.bus.registry import AGENTS
from trunkline.bus.roster import Roster
from trunkline.contracts.catalogue import CATALOGUE
from trunkline.contracts.dialog import Usage
from trunkline.contracts.registry import AgentCard
from trunkline.host.server import free_port
from trunkline.models import ModelSettings
from trunkline.prices import PriceBook
from trunkline_tools.settings import mcp_servers

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"(<!-- not executed: .+? -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
STAYS = ("trunkline up", "trunkline run ")
DEFAULT_URL = "nats://127.0.0.1:4222"


@dataclass(frozen=True)
class Block:
    language: str
    text: str


BLOCKS = [Block(language, text) for skipped, language, text in BLOCK.findall(README) if not skipped]


def commands() -> Iterator[tuple[str, str]]:
    """What is typed, and the lines that stand below it."""
    for block in BLOCKS:
        if block.language == "console":
            for part in block.text.split("$ ")[1:]:
                command, _, shown = part.partition("\n")
                yield command, shown.strip()


class Reader:
    """Somebody with a terminal for each command that stays."""

    def __init__(self, folder: Path) -> None:
        self.url = f"nats://127.0.0.1:{free_port()}"
        self._folder = folder
        self._staying: list[subprocess.Popen[str]] = []
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if not name.endswith("_KEY")}
        self._env = kept | {"PATH": path, "TRUNKLINE_DATA": str(folder / "data")}

    def write(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text.replace(DEFAULT_URL, self.url))

    def stay(self, command: str) -> None:
        env = self._env
        if command == "trunkline up":
            command = f"{command} --port {self.url.rpartition(':')[2]}"
        else:
            env = env | {"NATS_URL": self.url}
        staying = subprocess.Popen(
            command.split(), cwd=self._folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._staying.append(staying)

    def do(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env=self._env | {"NATS_URL": self.url},
            text=True,
            capture_output=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def leave(self) -> None:
        for staying in reversed(self._staying):
            staying.send_signal(signal.SIGINT)
            staying.communicate(timeout=30)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    somebody = Reader(tmp_path)
    yield somebody
    somebody.leave()


def files() -> dict[str, str]:
    """Python blocks by the name in their first line."""
    found = {}
    for block in BLOCKS:
        if block.language == "python":
            name = re.match(r"# (\w+\.py)\n", block.text)
            assert name, f"a Python block without a name: {block.text[:60]}"
            found[name[1]] = block.text
    return found


async def until_agent(url: str, agent: str) -> None:
    """Until the registry of a bus that may only be starting shows the agent."""
    async with asyncio.timeout(30), Bus.open(url, wait=30) as bus:

        async def registry() -> bool:
            return "error" not in await bus.api(f"STREAM.INFO.KV_{AGENTS}")

        await wait_until(registry, "the registry", seconds=60)
        async with Roster(AgentCard).watching(bus, AGENTS) as roster:
            while agent not in {card.agent for card in roster.live()}:
                await roster.changed.wait()


@pytest.mark.timeout(180)
async def test_the_readme_from_top_to_bottom(reader: Reader) -> None:
    for name, text in files().items():
        reader.write(name, text)
    seen = []
    for command, shown in commands():
        seen.append(command)
        if command == "make demo":
            continue
        if command.startswith(STAYS):
            reader.stay(command)
            await until_agent(reader.url, "weather" if "weather" in command else "generalist")
            continue
        said = reader.do(command)
        assert fnmatch.fnmatchcase(said, shown.replace("…", "*")), f"{command} said:\n{said}"
    assert {"make demo", "trunkline up", "trunkline run weather.py"} < set(seen)
    assert "Oslo: sun tomorrow, 21 degrees. weather " in reader.do("python ask.py")
    assert reader.do("python plain.py") == "Oslo: sun tomorrow, 21 degrees."
    reader.stay("trunkline run refunds.py")
    await until_agent(reader.url, "refunds")
    said = reader.do("trunkline ask 'I want my money back' --agent refunds")
    assert said.endswith("90 euros of invoice 1042 are refunded.")
    reader.stay("trunkline run payments.py")
    await until_agent(reader.url, "payments")
    assert await approved(reader, "trunkline ask 'Pay the invoice' --agent payments") == "paid, 900 cents so far"


async def approved(reader: Reader, asking: str) -> str:
    """What is answered once the one call that waits is approved."""
    asked = asyncio.create_task(asyncio.to_thread(reader.do, asking))

    async def waits() -> bool:
        return '"call"' in await asyncio.to_thread(reader.do, "trunkline approvals --json")

    await wait_until(waits, "the call waits for its approval", seconds=60)
    (call,) = json.loads(reader.do("trunkline approvals --json"))
    assert call["arguments"] == {"cents": 900}
    reader.do(f"trunkline approve {call['call']}")
    return await asked


@pytest.mark.timeout(240)
def test_make_demo_ends_well() -> None:
    done = subprocess.run(["make", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "as expected" in done.stdout


def test_the_table_of_subjects_is_the_catalogue() -> None:
    rows = [
        f"| `{entry.kind}` | `{entry.name}` | {entry.written_by} | {entry.read_by} | {entry.says} |"
        for entry in CATALOGUE
    ]
    assert "\n".join(rows) in README


def test_the_settings_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = next(block.text for block in BLOCKS if block.language == "toml")
    file = tmp_path / "trunkline.toml"
    file.write_text(block)
    monkeypatch.setenv("LOCAL_KEY", "k")
    models, defaults = ModelSettings.load(file), ModelSettings()
    assert (len(models.small), len(models.large)) == (1, 2)
    for name in tomllib.loads(block)["models"].keys() - {"small", "large"}:
        assert getattr(models, name) == getattr(defaults, name)
    assert set(mcp_servers(file)) == {"files"}
    budgets, ours = BudgetSettings.load(file), tomllib.loads(block)["budgets"]
    assert budgets == BudgetSettings()
    assert ours.keys() == set(BudgetSettings.model_fields)
    cost = PriceBook.load(file).price("local:my-model", Usage(input_tokens=1_000_000, output_tokens=1_000_000))
    assert str(cost) == "0.75"
    assert set(tomllib.loads(block)) == {"models", "budgets", "prices", "providers", "mcp"}


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!http)([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
