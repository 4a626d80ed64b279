"""What somebody sees of the processes that run for them: the start, then what goes wrong; all of it if they like."""

from __future__ import annotations

import signal
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from trunkline.cli.log_view import show, show_line
from trunkline.cli.startup import Part, Startup
from trunkline.host.events import Event, GaveUp, Left, Ready
from trunkline.host.log_lines import LogLine


class Screen:
    """`tell` is what a supervisor tells its events to."""

    def __init__(self, console: Console, parts: list[Part], logs: Path, *, verbose: bool = False) -> None:
        self.console = console
        self.startup = Startup(console, parts)
        self._logs = logs
        self._verbose = verbose
        self._stopping = False

    def tell(self, event: Event) -> None:
        match event:
            case LogLine() if self._verbose or (event.loud and not self._stopping):
                show_line(self.console, event, self._logs)
            case Ready(service, seconds) if not self.startup.ready(service, seconds):
                self._say(service, Text(f"is there again, after {seconds:.1f} s", style="green"))
            case Left(service, code, pause):
                self._say(service, Text(f"{how_it_left(code)}; starting it again in {pause:.1f} s", style="yellow"))
            case GaveUp(service):
                self._say(service, Text("cannot start like this; it is not started again", style="red"))
            case _:
                pass

    def stopping(self) -> None:
        """From now on only what was asked for in full is shown: a bus that goes away is no news any more."""
        self._stopping = True
        self.console.print("\n  Stopping: work under way is finished first. Ctrl-C again stops at once.", style="dim")

    def _say(self, service: str, text: Text) -> None:
        show(self.console, service, text, f"{datetime.now().astimezone():%H:%M:%S}")


def how_it_left(code: int) -> str:
    return f"left with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
