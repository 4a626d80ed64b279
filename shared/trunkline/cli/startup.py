"""The picture of a start: what is starting, each part ticked off when it is ready."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from trunkline.cli.log_view import COLOURS, NAME_WIDTH

WIDEST = 92
MARGIN = "  "


@dataclass
class Part:
    """One line of the picture. `seconds` is None until it is ready."""

    name: str
    about: str
    seconds: float | None = None
    failed: bool = False


class Startup:
    """On a terminal the picture is redrawn in place; elsewhere each part is one line, once it is ready."""

    def __init__(self, console: Console, parts: list[Part]) -> None:
        self._console = console
        self._parts = {part.name: part for part in parts}
        self._spinners = {part.name: Spinner("dots", style="dim") for part in parts}
        self._over = False

    @contextlib.contextmanager
    def drawing(self) -> Iterator[None]:
        """What is not ready on leaving has failed."""
        if not self._console.is_terminal:
            for part in self._parts.values():
                if part.seconds is not None:
                    self._say(part)
            yield
            return
        with Live(get_renderable=self.picture, console=self._console, refresh_per_second=12) as live:
            try:
                yield
            except BaseException:
                self._over = True
                raise
            finally:
                live.refresh()

    def ready(self, name: str, seconds: float) -> bool:
        """Tick a part off. False when it was ready before, or is none of ours."""
        part = self._parts.get(name)
        if part is None or part.seconds is not None:
            return False
        part.seconds = seconds
        if not self._console.is_terminal:
            self._say(part)
        return True

    def fail(self, name: str) -> None:
        """It will not become ready."""
        if part := self._parts.get(name):
            part.failed = True

    def picture(self) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.width = min(self._console.width, WIDEST)
        table.add_column(width=3, no_wrap=True)
        table.add_column(width=NAME_WIDTH, no_wrap=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column(width=6, no_wrap=True, justify="right", style="dim")
        for part in self._parts.values():
            ready = part.seconds is not None
            style = COLOURS.get(part.name, "") if ready else "dim"
            time = f"{part.seconds:.1f} s" if part.seconds is not None else ""
            table.add_row(
                self._mark(part), Text(part.name, style=style), Text(part.about, style="" if ready else "dim"), time
            )
        return table

    def _say(self, part: Part) -> None:
        time = f"  ({part.seconds:.1f} s)" if part.seconds else ""
        self._console.print(f"{MARGIN}✔ {part.name:<{NAME_WIDTH}}  {part.about}{time}", soft_wrap=True)

    def _mark(self, part: Part) -> Table | Text:
        if part.seconds is not None:
            return Text("  ✔", style="green")
        if self._over or part.failed:
            return Text("  ✗", style="red")
        mark = Table.grid()
        mark.add_row(Text(MARGIN), self._spinners[part.name])
        return mark
