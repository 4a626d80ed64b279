"""`trunkline new agent`: a file to begin from, never over another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.host.terminal import trunkline
from trunkline.definitions import load_definitions


@pytest.mark.parametrize(("name", "file"), [("billing", "billing.py"), ("Order-Desk", "order_desk.py")])
def test_the_file_loads(tmp_path: Path, name: str, file: str) -> None:
    with trunkline(tmp_path, "new", "agent", name) as command:
        assert command.wait() == 0
    assert f"trunkline run {file}" in command.said
    found = load_definitions(tmp_path / file)
    assert [agent.name for agent in found.agents] == [name]
    assert len(found.tools) == 1


def test_it_does_not_overwrite(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("precious")
    with trunkline(tmp_path, "new", "agent", "billing", "--path", "mine.py") as command:
        assert command.wait() == 2
    assert "mine.py exists already." in command.said
    assert (tmp_path / "mine.py").read_text() == "precious"


@pytest.mark.parametrize("name", ["a*b", "9lives", "class", "a" * 65])
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    with trunkline(tmp_path, "new", "agent", name) as command:
        assert command.wait() == 2
    assert list(tmp_path.glob("*.py")) == []
