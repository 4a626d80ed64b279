"""Ctrl-C: once to stop in good order, twice to stop at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130


async def interruptible(work: Coroutine[Any, Any, int], stopping: Callable[[], None], kill: Callable[[], None]) -> int:
    """The exit code of `work`; 0 when it was told to stop and did, INTERRUPTED when it was told twice.

    The first signal cancels `work`, so that its contexts are left in order; `kill` shall make that quick.
    """
    loop, task, heard = asyncio.get_running_loop(), asyncio.create_task(work, name="work"), 0

    def hear() -> None:
        nonlocal heard
        heard += 1
        if heard == 1:
            stopping()
            task.cancel()
        else:
            kill()

    for number in SIGNALS:
        loop.add_signal_handler(number, hear)
    try:
        return await task
    except asyncio.CancelledError:
        return INTERRUPTED if heard > 1 else 0
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
