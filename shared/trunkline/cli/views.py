"""What a person, or a program, sees of a run under way."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from trunkline.cli.console import clean, print_json_line, say, text
from trunkline.cli.figures import duration
from trunkline.client.progress import Progress, StreamItem, TextDelta


class View(Protocol):
    """Takes what happens; entered when the question is put, left when the run has ended."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def take(self, item: StreamItem) -> None: ...


class Silent:
    """Nobody looks on."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def take(self, item: StreamItem) -> None:
        pass


class JsonLines(Silent):
    """A line for each step and each piece of text."""

    def take(self, item: StreamItem) -> None:
        if isinstance(item, TextDelta):
            print_json_line({"type": "text", "text": item.text, "restart": item.restart})
        elif isinstance(item, Progress):
            said = {"kind": item.kind, "name": item.name, "step": item.step, "text": item.text}
            print_json_line({"type": "progress"} | said)


class OnTerminal:
    """Steps that are over as dim lines; below them, what goes on now, and with `writing` the text as it comes.

    The lower part is gone in the end: the answer is printed by whoever asked.
    """

    def __init__(self, console: Console, *, writing: bool) -> None:
        self._console = console
        self._writing = writing
        self._began = time.monotonic()
        self._now = ("waits for the router", 0.0)
        self._text = ""
        self._spinner = Spinner("dots", style="name")
        self._live = Live(
            get_renderable=self._render, console=console, refresh_per_second=12, transient=True, redirect_stdout=False
        )

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self._live.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._finish_step()
        self._text = ""
        self._live.__exit__(kind, error, trace)

    def take(self, item: StreamItem) -> None:
        if isinstance(item, TextDelta):
            self._text = item.text if item.restart else self._text + item.text
        elif isinstance(item, Progress):
            self._finish_step()
            self._now = (clean(item.text), self._elapsed())

    def _finish_step(self) -> None:
        said, at = self._now
        if at:
            say(self._live.console, text((f"{duration(at * 1000):>8}  {said}", "faint")))

    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _render(self) -> RenderableType:
        said, _ = self._now
        self._spinner.update(text=text(f"{said}  ", (duration(self._elapsed() * 1000), "faint")))
        if not (self._writing and self._text):
            return self._spinner
        return Group(*self._last_lines(), self._spinner)

    def _last_lines(self) -> list[Text]:
        """As much of the text's end as the terminal holds."""
        height = max(1, self._console.size.height - 3)
        wrapped = Text(clean(self._text, lines=True)).wrap(self._console, self._console.width)
        return list(wrapped[-height:])
