"""Where output goes and how it looks. What came over the bus is printed as text, never as markup or control codes."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterable
from typing import Any

import orjson
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

PIPED_WIDTH = 2000
"""Columns when nobody looks on: nothing is cut short."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

THEME = Theme(
    {
        "error": "bold red",
        "hint": "default",
        "head": "bold",
        "faint": "dim",
        "good": "green",
        "warn": "yellow",
        "bad": "red",
        "name": "cyan",
        "kind.request": "bold",
        "kind.task": "blue",
        "kind.prompt": "magenta",
        "kind.model": "magenta",
        "kind.call": "cyan",
        "kind.started": "cyan",
        "kind.result": "cyan",
        "kind.approval": "yellow",
        "kind.decision": "yellow",
        "kind.answer": "bold green",
        "kind.cancel": "red",
        "kind.note": "dim",
        "kind.feedback": "dim",
    }
)


@functools.cache
def out() -> Console:
    """What was asked for."""
    return _console(stderr=False)


@functools.cache
def err() -> Console:
    """What is said about it: progress, hints, errors."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, theme=THEME, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console


def clean(value: object, *, lines: bool = False) -> str:
    """Text that cannot move the cursor, change colours or turn the writing round; on one line, or in its `lines`."""
    shown = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(value).replace("\r\n", "\n").replace("\t", "    "))
    return shown if lines else " ".join(shown.split())


def text(*parts: str | tuple[str, str] | Text) -> Text:
    """Pieces of text, each plain or with its style."""
    return Text.assemble(*parts)


def say(console: Console, said: Text) -> None:
    """A sentence: wrapped between words where a person reads, unbroken elsewhere."""
    console.print(said, soft_wrap=not console.is_terminal)


def table(*columns: str, flexible: str = "", right: Iterable[str] = ()) -> Table:
    """A table without lines. The `flexible` column, which stands last, gives way when the terminal is narrow."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="faint", pad_edge=False)
    aligned = set(right)
    for column in columns:
        gives = column == flexible
        made.add_column(
            column,
            justify="right" if column in aligned else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=8 if gives else None,
        )
    return made


def print_table(shown: Table) -> None:
    """Without the blanks at the ends of its lines when it goes into a pipe."""
    *fixed, last = shown.columns
    if last.min_width:
        for column in fixed:
            column.min_width = max(_width(cell) for cell in (column.header, *column.cells))
        last.max_width = max(last.min_width, out().width - sum((column.min_width or 0) + 2 for column in fixed) - 2)
    if out().is_terminal:
        out().print(shown)
        return
    with out().capture() as capture:
        out().print(shown)
    _write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()).encode())


def _width(cell: RenderableType) -> int:
    return cell.cell_len if isinstance(cell, Text) else Text(str(cell)).cell_len


def print_lines(lines: Iterable[Text]) -> None:
    """Each on one line, cut short at the edge of the terminal."""
    for line in lines:
        out().print(line, no_wrap=True, overflow="ellipsis", crop=True)


def print_json(value: Any) -> None:  # any JSON value
    """Indented for people, on one line for programs."""
    option = orjson.OPT_INDENT_2 if out().is_terminal else 0
    _write(orjson.dumps(value, option=option | orjson.OPT_APPEND_NEWLINE, default=str))


def print_json_line(value: Any) -> None:  # any JSON value
    _write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE, default=str))


def _write(data: bytes) -> None:
    sys.stdout.write(data.decode())
    sys.stdout.flush()
