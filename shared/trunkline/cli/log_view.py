"""Log lines for people: time, service, sentence, then the interesting key-values, dim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trunkline.host.log_lines import LogLine

COLOURS = {"bus": "yellow", "router": "cyan", "agents": "green", "tools": "magenta", "ledger": "blue"}
NAME_WIDTH = 6
LEVEL_STYLES = {"warning": "yellow", "error": "red", "critical": "bold red", "debug": "dim"}
LONGEST_VALUE = 60
FRAMES = 2


def show_line(console: Console, line: LogLine, logs: Path) -> None:
    """`logs` is where the whole of a shortened traceback stands."""
    show(console, line.service, said(line, logs), f"{line.at.astimezone():%H:%M:%S}")


def show(console: Console, service: str, text: Text, time: str) -> None:
    """One line of the stream; on a terminal, what is too long goes on under its own beginning."""
    name = Text(f"{service:<{NAME_WIDTH}}", style=COLOURS.get(service, "white"))
    if not console.is_terminal:
        console.print(Text("  ").join([Text(time), name, text]), soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(time, style="dim"), name, text)
    console.print(grid)


def said(line: LogLine, logs: Path) -> Text:
    """Everything but time and service."""
    style = LEVEL_STYLES.get(line.level, "")
    text = Text(_closed(line.sentence, line.hint), style=style)
    if line.hint:
        text.append(f" {line.hint}", style="default")
    for name, value in line.fields.items():
        text.append(f"  {name}=", style="dim default")
        text.append(_short(value), style="dim default")
    if line.traceback:
        text.append(_end_of(line.traceback, line.sentence, logs / f"{line.service}.log"), style="dim default")
    return text


def _closed(sentence: str, hint: str) -> str:
    return sentence if not hint or sentence.endswith((".", "!", "?")) else f"{sentence}."


def _short(value: Any) -> str:  # any JSON value
    text = str(value).replace("\n", " ")
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _end_of(traceback: str, sentence: str, whole: Path) -> str:
    """The last frames; and the error, unless the sentence says it."""
    lines = traceback.rstrip().splitlines()
    if lines[-1] == sentence:
        lines.pop()
    frames = [at for at, line in enumerate(lines) if line.startswith("  File ")]
    kept = lines[frames[-FRAMES] :] if len(frames) > FRAMES else lines
    left_out = len(lines) - len(kept)
    more = [f"… {left_out} more lines in {whole}"] if left_out else []
    return "".join(f"\n  {line}" for line in [*more, *kept])
