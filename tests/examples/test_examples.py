"""Each example runs as its README says, and gives the answers that stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trunkline import Client
from trunkline.cli import demo_tour
from trunkline.host.events import Event
from trunkline.host.platform import Platform, PlatformPlan
from trunkline.host.server import free_port

EXAMPLES = Path(__file__).parents[2] / "examples"
PHASES = sorted(EXAMPLES.glob("phase_*"))
ASKED = re.compile(r'^\$ trunkline ask "(.+)"\n(.+)$', re.MULTILINE)


def said_in(folder: Path) -> list[tuple[str, str]]:
    """The questions of a README with their answers."""
    return ASKED.findall((folder / "README.md").read_text())


@pytest.mark.parametrize("folder", PHASES, ids=lambda folder: folder.name)
async def test_the_answers_of_its_readme(folder: Path, tmp_path: Path) -> None:
    heard: list[Event] = []
    plan = PlatformPlan(data=tmp_path, files=(folder / "agents.py",), port=free_port())
    async with Platform(plan, heard.append).running(), Client.connect(plan.bus_url) as client:
        expected = said_in(folder)
        assert len(expected) >= 2
        for question, answer in expected:
            assert (await client.ask(question, timeout=20)).text == answer


def test_each_phase_is_a_few_lines_more_than_the_one_before() -> None:
    lengths = [len((folder / "agents.py").read_text().splitlines()) for folder in PHASES]
    assert len(lengths) == 4
    assert lengths == sorted(lengths)


def test_the_index_names_every_phase() -> None:
    index = (EXAMPLES / "README.md").read_text()
    assert all(f"({folder.name})" in index for folder in PHASES)


def test_the_demonstration_runs_the_last_phase() -> None:
    """The published package has no examples folder, so it carries a copy."""
    assert demo_tour.AGENTS.read_text() == (PHASES[-1] / "agents.py").read_text()
