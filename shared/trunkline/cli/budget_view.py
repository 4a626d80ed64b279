"""How budgets are shown: what is spent of each, as a bar, and when it begins anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.text import Text

from trunkline.cli.bars import aligned, bar, percent
from trunkline.cli.console import clean, out, print_lines, text
from trunkline.cli.figures import counted, dollars, short, span

if TYPE_CHECKING:
    from trunkline.budget.book import Standing
    from trunkline.cli.budget import Rule

KIND = 14
NEAR = Decimal("0.8")
"""Of a limit: from there on it is marked."""


def as_data(standing: Standing) -> dict[str, Any]:
    limit, left = standing.limit, standing.left
    return {
        "kind": standing.kind,
        "who": standing.who,
        "window": standing.window,
        "spent": str(standing.spent),
        "limit": str(limit) if limit is not None else None,
        "left": str(left) if left is not None else None,
        "resets": standing.resets,
        "topped_up": str(standing.topped_up),
        "topped_up_by": list(standing.topped_up_by),
    }


def share_of(standing: Standing) -> Decimal | None:
    """Of its limit; None where nothing limits it."""
    if standing.limit is None:
        return None
    return standing.spent.dollars / standing.limit.dollars if standing.limit.pico else Decimal(1)


def style_of(share: Decimal) -> str:
    return "bad" if share >= 1 else "warn" if share >= NEAR else "good"


def show_book(rules: Sequence[Rule], found: Sequence[Standing], now: datetime, *, limit: int) -> None:
    """Each kind with what it allows, and below it the fullest `limit` of its budgets."""
    of_kind = {rule.kind: fullest(each for each in found if each.kind == rule.kind) for rule in rules}
    lines = iter(lines_of([each for standings in of_kind.values() for each in standings[:limit]]))
    for rule in rules:
        standings = of_kind[rule.kind]
        out().print(_heading(rule, now))
        print_lines(text("  ", next(lines)) for _ in standings[:limit])
        if len(standings) > limit:
            out().print(text((f"  and {counted(len(standings) - limit, 'other')}, less full", "faint")))


def _heading(rule: Rule, now: datetime) -> Text:
    from trunkline.budget.book import OF_TENANT
    from trunkline.budget.limits import resets_of

    amount = dollars(str(rule.amount)) if rule.amount is not None else "no limit"
    each = " each" if rule.amount is not None and rule.kind not in OF_TENANT else ""
    resets = resets_of(rule.kind, now)
    said = [f"anew in {span((resets - now).total_seconds())}"] if resets else []
    said += [f"set by {clean(rule.by)} on {rule.at:%Y-%m-%d %H:%M} UTC"] if rule.at else []
    return text((f"{rule.kind:<{KIND}}", "name"), (amount, "head"), each, ("  " + " · ".join(said), "faint"))


def lines_of(found: Sequence[Standing]) -> list[Text]:
    """One below the other: spent, of how much, as a bar, what is left, whose."""
    spent = _column([dollars(str(each.spent)) for each in found])
    limits = _column([dollars(str(each.limit)) if each.limit is not None else "no limit" for each in found])
    left = _column([f"{dollars(str(each.left))}" if each.left is not None else "" for each in found])
    width = 10 if out().width < 100 else 24
    lines = []
    for each, so_much, of, rest in zip(found, spent, limits, left, strict=True):
        share = share_of(each)
        style = style_of(share) if share is not None else "faint"
        line = text((so_much, style if share is not None and share >= NEAR else ""), " of ", of, "  ")
        line.append_text(bar(share or 0, width, style, track=share is not None))
        line.append(f"  {percent(share) if share is not None else '':>7}  ", style=style)
        lines.append(line.append_text(text(rest, " left  " if share is not None else "       ", _whose(each))))
    return lines


def _column(amounts: Sequence[str]) -> list[str]:
    """Of one width, the decimal points one below the other."""
    made = aligned(amounts)
    width = max(map(len, made), default=0)
    return [amount.rjust(width) for amount in made]


def _whose(standing: Standing) -> Text:
    who = short(standing.who) if standing.kind == "run" else standing.who
    more = ""
    if standing.topped_up.pico:
        by = ", ".join(clean(each) for each in standing.topped_up_by)
        more = f"  topped up by {dollars(str(standing.topped_up))} ({by})"
    return text((clean(who), "name"), (more, "good"))


def fullest(found: Iterable[Standing]) -> list[Standing]:
    """By share of the limit, then by what is spent; in the order of kinds and names where that is the same."""
    return sorted(found, key=lambda each: (-(share_of(each) or Decimal(0)), -each.spent.pico))
