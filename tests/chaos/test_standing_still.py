"""A tool service that stands still for longer than its tools may take has not lost what they did meanwhile."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from trunkline_tools.sandbox import zygote
from trunkline_tools.sandbox.zygote import ZygoteSandbox

TOOL = """
from pathlib import Path
from trunkline import tool

@tool(effect="write")
def mark(file: str) -> str:
    "Leave a mark."
    Path(file).touch()
    return "done"
"""


async def test_what_was_done_while_the_executor_stood_still_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zygote, "GRACE", 0.1)
    file, mark = tmp_path / "tool.py", tmp_path / "mark"
    file.write_text(TOOL)
    async with ZygoteSandbox(file) as sandbox:
        calling = asyncio.create_task(sandbox.call("mark", {"file": str(mark)}, timeout=1.0, call_id="r-1"))
        await asyncio.sleep(0)  # the order goes out
        stand_still(1.5, until=mark)
        outcome = await calling
    assert (outcome.value, outcome.error) == ("done", None)


def stand_still(seconds: float, *, until: Path) -> None:
    """As a stopped process does: nothing of this process goes on, until the tool is done and `seconds` more."""
    while not until.exists():
        time.sleep(0.05)
    time.sleep(seconds)
