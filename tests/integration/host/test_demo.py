"""`trunkline demo`: everything once, in a few seconds, and the exit code says whether it was right."""

from __future__ import annotations

import time
from pathlib import Path

from tests.integration.host.terminal import trunkline
from trunkline.cli.demo_questions import QUESTIONS


async def test_it_shows_the_platform_and_leaves_nothing(tmp_path: Path) -> None:
    began = time.monotonic()
    with trunkline(tmp_path, "demo", TMPDIR=str(tmp_path / "tmp")) as command:
        (tmp_path / "tmp").mkdir(exist_ok=True)
        assert command.wait(seconds=50) == 0, command.said
        assert command.family() == []
    seconds = time.monotonic() - began
    assert seconds < 20, f"{seconds:.1f} s:\n{command.said}"
    said = command.said
    assert all(question.text in said for question in QUESTIONS)
    assert f"All {len(QUESTIONS)} as expected." in said
    assert "└ billing" in said
    assert "\x1b" not in said
    assert list((tmp_path / "tmp").glob("trunkline-demo-*")) == []
