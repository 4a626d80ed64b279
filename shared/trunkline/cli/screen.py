"""What somebody sees of the processes that run for them: the start, then what goes wrong; all of it if they like."""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

import structlog
from rich.console import Console
from rich.text import Text

from trunkline.bus import Bus
from trunkline.cli.log_view import show, show_line
from trunkline.cli.startup import Part, Startup
from trunkline.host.events import Event, GaveUp, Left, Ready
from trunkline.host.interrupts import interruptible
from trunkline.host.log_lines import LogLine


class Running(Protocol):
    """Processes under supervision; everything is ready inside `running()`, and `kill` ends them at once."""

    def running(self) -> AbstractAsyncContextManager[Bus]: ...

    def kill(self) -> None: ...


class Screen:
    """`tell` is what a supervisor tells its events to."""

    def __init__(self, console: Console, parts: list[Part], logs: Path, *, verbose: bool = False) -> None:
        self._console = console
        self._startup = Startup(console, parts)
        self._logs = logs
        self._verbose = verbose
        self._stopping = False

    async def accompany(self, host: Running, inside: Callable[[Bus], Awaitable[int]]) -> int:
        """Draw the start, do `inside`, and say when all has stopped; the exit code."""
        _quieten()

        async def run() -> int:
            async with contextlib.AsyncExitStack() as stack:
                with self._startup.drawing():
                    bus = await stack.enter_async_context(host.running())
                code = await inside(bus)
                self._stopping = True
                return code

        code = await interruptible(run(), self._say_stopping, host.kill)
        self._console.print("  Stopped.\n", style="dim")
        return code

    def tell(self, event: Event) -> None:
        match event:
            case LogLine() if self._verbose or (event.loud and not self._stopping):
                show_line(self._console, event, self._logs)
            case Ready(service, seconds) if not self._startup.ready(service, seconds):
                self._say(service, Text(f"is there again, after {seconds:.1f} s", style="green"))
            case Left(service, code, pause):
                self._say(service, Text(f"{how_it_left(code)}; starting it again in {pause:.1f} s", style="yellow"))
            case GaveUp(service):
                self._startup.fail(service)
                self._say(service, Text("cannot start like this; it is not started again", style="red"))
            case _:
                pass

    def _say_stopping(self) -> None:
        """From now on a service that is not answered any more is no news."""
        self._stopping = True
        self._console.print("\n  Stopping: work under way is finished first. Ctrl-C again stops at once.", style="dim")

    def _say(self, service: str, text: Text) -> None:
        show(self._console, service, text, f"{datetime.now().astimezone():%H:%M:%S}")


def how_it_left(code: int) -> str:
    return f"left with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


def _quieten() -> None:
    """What our own connection notices, each service says of its own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
