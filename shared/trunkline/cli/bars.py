"""Amounts as bars and as columns of figures that can be compared at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from rich.table import Table
from rich.text import Text

from trunkline.cli.console import out, print_table

LABEL = 7


def labelled(label: str, *said: Text) -> None:
    """Sentences behind their label; on a terminal, what is too long goes on under its own beginning."""
    grid = Table.grid(padding=(0, 0))
    grid.add_column(width=LABEL, no_wrap=True)
    grid.add_column(overflow="fold")
    if out().is_terminal:
        for number, each in enumerate(said):
            grid.add_row(Text(label if number == 0 else "", style="faint"), each)
        print_table(grid)
        return
    for number, each in enumerate(said):
        head = Text(f"{label if number == 0 else '':<{LABEL}}")
        out().print(head.append_text(each), soft_wrap=True)


def bar(share: Decimal | float, width: int, style: str, *, track: bool = False) -> Text:
    """`share` of `width` columns, in half ones; anything is more than nothing. With `track`, also what is left."""
    halves = 0 if share <= 0 else max(1, min(round(float(share) * width * 2), width * 2))
    full, half = divmod(halves, 2)
    drawn = Text("━" * full + "╸" * half, style=style)
    drawn.append(("─" if track else " ") * (width - full - half), style="faint")
    return drawn


def percent(share: Decimal) -> str:
    """`3 %`; what is less than one is not nothing, and of what is far too much it does not matter how much."""
    if 0 < share < Decimal("0.01"):
        return "< 1 %"
    if share >= 10:
        return "> 999 %"
    return f"{share:.0%}".replace("%", " %")


def aligned(amounts: Sequence[str]) -> list[str]:
    """With their decimal points one below the other, when each stands at the right."""
    behind = [len(amount.rpartition(".")[2]) + 1 if "." in amount else 0 for amount in amounts]
    most = max(behind, default=0)
    return [amount + " " * (most - own) for amount, own in zip(amounts, behind, strict=True)]
