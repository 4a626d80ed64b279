"""`trunkline demo`: everything once, for little work, and the exit code says whether it was right."""

from __future__ import annotations

import os
from pathlib import Path

from tests.integration.host.terminal import trunkline
from trunkline.cli.demo_questions import QUESTIONS

CPU_SECONDS = 20


async def test_it_shows_the_platform_and_leaves_nothing(tmp_path: Path) -> None:
    """Its work in CPU time, so that a busy machine does not matter."""
    before = os.times()
    with trunkline(tmp_path, "demo", TMPDIR=str(tmp_path / "tmp")) as command:
        (tmp_path / "tmp").mkdir(exist_ok=True)
        assert command.wait(seconds=100) == 0, command.said
        assert command.family() == []
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < CPU_SECONDS, f"{spent:.1f} s:\n{command.said}"
    said = command.said
    assert all(question.text in said for question in QUESTIONS)
    assert f"All {len(QUESTIONS)} as expected." in said
    assert "└ billing" in said
    assert "\x1b" not in said
    assert list((tmp_path / "tmp").glob("trunkline-demo-*")) == []
