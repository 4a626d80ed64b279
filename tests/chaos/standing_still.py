"""`python -m tests.chaos.standing_still FILE MARK`: one call of the file's tool `mark`, and what it came to."""

from __future__ import annotations

import asyncio
import sys

from trunkline_tools.sandbox import zygote
from trunkline_tools.sandbox.zygote import ZygoteSandbox

TIMEOUT = 3.0
GRACE = 0.1


async def main(file: str, mark: str) -> None:
    zygote.GRACE = GRACE
    async with ZygoteSandbox(file) as sandbox:
        outcome = await sandbox.call("mark", {"file": mark}, timeout=TIMEOUT, call_id="r-1")
    sys.stdout.write(str(outcome.value or outcome.error))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
