"""A tool service that stands still for longer than its tools may take has not lost what they did meanwhile."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from tests.chaos.standing_still import GRACE, TIMEOUT
from tests.conftest import wait_until
from tests.platform import ROOT

TOOL = """
import time
from pathlib import Path
from trunkline import tool

@tool(effect="write")
def mark(file: str) -> str:
    "Leave a mark at the beginning and one at the end."
    Path(file).touch()
    time.sleep(0.3)
    Path(file + ".done").touch()
    return "done"
"""


async def test_what_was_done_while_the_executor_stood_still_is_not_lost(tmp_path: Path) -> None:
    file, mark = tmp_path / "tool.py", tmp_path / "mark"
    file.write_text(TOOL)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.standing_still", str(file), str(mark)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await wait_until(mark.exists, "the tool runs", seconds=60)
        process.send_signal(signal.SIGSTOP)
        await wait_until(mark.with_name("mark.done").exists, "the tool is done")
        await asyncio.sleep(TIMEOUT + GRACE)  # its time is up while nobody can say so
        process.send_signal(signal.SIGCONT)
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert said == b"done"
