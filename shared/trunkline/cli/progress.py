"""How far a long action has come, for a person who waits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console

Step = Callable[[int], None]
"""Takes how much has been done altogether."""


@contextlib.contextmanager
def progress(console: Console, what: str, total: int, *, octets: bool = False) -> Iterator[Step]:
    """A bar while inside, on a terminal; nothing is left of it. `total` counts events, or octets."""
    if not console.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if octets else MofNCompleteColumn()
    with Progress(
        TextColumn(what), BarColumn(), amount, TimeRemainingColumn(), console=console, transient=True
    ) as shown:
        task = shown.add_task(what, total=total)
        yield lambda done: shown.update(task, completed=done)
