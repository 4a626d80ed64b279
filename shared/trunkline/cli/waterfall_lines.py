"""The waterfall drawn: offset, bar, duration, kind, name, what happened; one line a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from trunkline.cli.console import clean, text
from trunkline.cli.figures import duration

if TYPE_CHECKING:
    from trunkline.cli.waterfall import Row

STYLES = {
    "request": "faint",
    "task": "faint",
    "prompt": "magenta",
    "model": "magenta",
    "call": "cyan",
    "started": "cyan",
    "approval": "yellow",
    "answer": "good",
}
TIME = 8
WIDEST_NAME = 24
NARROWEST_BAR = 12
WIDEST_BAR = 48


def lines_of(rows: list[Row], width: int) -> list[Text]:
    """Lines of at most `width` columns."""
    if not rows:
        return []
    ends = max(row.start + (row.length or 0.0) for row in rows) or 1.0
    bar = max(NARROWEST_BAR, min(WIDEST_BAR, (width - 60) // 2))
    labels = max(len(row.label) + 2 * row.depth for row in rows)
    names = min(WIDEST_NAME, max(len(clean(row.name)) for row in rows))
    head = f"{'at':>{TIME}}  {'':<{bar}}  {'took':>{TIME}}  step"
    return [text((head, "faint")), *(_line(row, ends, bar, labels, names) for row in rows)]


def _line(row: Row, ends: float, bar: int, labels: int, names: int) -> Text:
    label = f"{'  ' * row.depth}{row.label}"
    took = "…" if row.open else duration(row.length) if row.length is not None else ""
    line = text(
        (f"{duration(row.start):>{TIME}}  ", "faint"),
        (drawn(row, ends, bar), "bad" if row.bad else STYLES.get(row.kind, "")),
        f"  {took:>{TIME}}  ",
        (f"{label:<{labels}}  ", "bad" if row.bad else STYLES.get(row.kind, "")),
        (f"{clean(row.name):<{names}}  ", "name"),
        (clean(row.said), "bad" if row.bad else "faint"),
    )
    line.rstrip()
    return line


def drawn(row: Row, ends: float, bar: int) -> str:
    """The bar in half columns: from the row's start to its end, a dot for a moment."""
    begin = min(round(row.start / ends * bar * 2), bar * 2 - 1)
    if row.length is None:
        mark = "┄" * (bar - begin // 2) if row.open else "·"
        return f"{' ' * (begin // 2)}{mark}".ljust(bar)
    stop = max(begin + 1, min(round((row.start + row.length) / ends * bar * 2), bar * 2))
    first, last = (begin + 1) // 2, stop // 2
    left = "╺" if begin % 2 else ""
    right = "╸" if stop % 2 else ""
    if last < first:
        return f"{' ' * (begin // 2)}{left or right}".ljust(bar)
    return f"{' ' * (begin // 2)}{left}{'━' * (last - first)}{right}".ljust(bar)
