"""How spending is shown: today against its limit, where the day is heading, what was saved; then the table."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from rich.text import Text

from trunkline.cli.bars import aligned, bar, labelled, percent
from trunkline.cli.budget_view import style_of
from trunkline.cli.console import clean, out, print_table, say, table, text
from trunkline.cli.figures import count, counted, dollars, span
from trunkline.cli.forecast import Forecast, forecast, reached
from trunkline.cli.ledger_json import Spend, Spender, Spending, read
from trunkline.cli.note_words import lever_words
from trunkline.cli.totals import all_known, saved_line

if TYPE_CHECKING:
    from trunkline.cli.spend import Found

NAMELESS = {"user": "anonymous", "tool": "(answers)", "route": "(not routed)"}
"""What the empty name stands for."""
WIDE = 100
"""Columns from which on there is room for more."""
MARGIN = Decimal("0.05")
"""Two paces that differ by less are one."""


def show(found: Found) -> None:
    today, asked = read(found.today, Spend), read(found.spend, Spend)
    labelled("today", _today(found, today), *_beside(found, today))
    if expected := forecast_of(found):
        labelled("pace", _pace(expected), *_limit_ahead(found, expected))
    if today.levers:
        labelled("saved", saved_line(today.saved, today.levers))
    out().print()
    if not found.is_today:
        _heading(found, asked)
    if asked.by == "lever":
        _levers(asked)
    else:
        _spenders(asked)


def forecast_of(found: Found) -> Forecast | None:
    today, lately = read(found.today, Spend), read(found.lately, Spend)
    return forecast(Decimal(today.total.cost), Decimal(lately.total.cost), found.now)


def _today(found: Found, today: Spend) -> Text:
    total, standing = today.total, found.standing
    line = text((dollars(total.cost), "head"))
    if standing is None or standing.limit is None:
        return line.append(" of no limit", style="faint")
    limit = standing.limit.dollars
    share = Decimal(total.cost) / limit if limit else Decimal(1)
    style = style_of(share)
    line.append(f" of {dollars(str(limit))}  ")
    line.append_text(bar(share, 24 if out().width < WIDE else 40, style, track=True))
    line.append(f"  {percent(share)}", style=style)
    return line


def _beside(found: Found, today: Spend) -> list[Text]:
    """What the total is without, and how the budget differs from it."""
    said = _without(today.total)
    standing = found.standing
    if standing is None or standing.limit is None:
        return said
    if standing.resets:
        said.append(text((f"{span((standing.resets - found.now).total_seconds())} until it begins anew", "faint")))
    if str(standing.spent) != today.total.cost:
        counted_ = f"its budget counts {dollars(str(standing.spent))}, with what is held back or not settled yet"
        said.append(text((counted_, "faint")))
    return said


def _without(total: Spending) -> list[Text]:
    said = []
    if total.open:
        may = f"{counted(total.open, 'call')} under way, which may cost {dollars(total.held)} at most"
        said.append(text((may, "faint")))
    if total.unknown:
        said.append(text((f"{counted(total.unknown, 'call')} of unknown cost not counted", "warn")))
    return said


def _pace(expected: Forecast) -> Text:
    """At two paces, which differ as much as nobody knows better."""
    lately = f"{dollars(str(expected.hourly))} in the last hour"
    if expected.high - expected.low <= expected.high * MARGIN:
        said, paces = f"about {dollars(str(expected.high))}", f"as today so far: {lately}"
    else:
        said = f"{dollars(str(expected.low))} to {dollars(str(expected.high))}"
        paces = f"as today so far, {dollars(str(expected.daily))} an hour; as lately, {lately}"
    return text((said, "head"), " by midnight UTC  ", (paces, "faint"))


def _limit_ahead(found: Found, expected: Forecast) -> list[Text]:
    standing = found.standing
    if standing is None or standing.limit is None:
        return []
    pace = max(expected.hourly, expected.daily)
    when = reached(standing.spent.dollars, standing.limit.dollars, pace, found.now)
    if when is None:
        return []
    if when == found.now:
        return [text(("the limit is reached: `trunkline budget top-up tenant-day AMOUNT` allows more", "bad"))]
    return [text((f"the limit may be reached at {when:%H:%M} UTC, at the faster pace", "warn"))]


def _heading(found: Found, asked: Spend) -> None:
    until = f" until {found.until:%Y-%m-%d %H:%M}" if found.until else ""
    line = text((dollars(asked.total.cost), "head"), f" since {found.since:%Y-%m-%d %H:%M}{until} UTC")
    line.append(f"  {counted(asked.total.calls, 'model call')}", style="faint")
    if asked.levers:
        line.append(f"  {dollars(asked.saved, known=all_known(asked.levers))} saved", style="faint")
    for said in (line, *_without(asked.total)):
        say(out(), said)
    out().print()


def _spenders(asked: Spend) -> None:
    if not asked.spenders:
        say(out(), text(("No model was asked in that time.", "faint")))
        return
    total = Decimal(asked.total.cost)
    unknown = any(each.spent.unknown for each in asked.spenders)
    costs = aligned([*(dollars(each.spent.cost) for each in asked.spenders), dollars(asked.rest), dollars(str(total))])
    largest = max(Decimal(each.spent.cost) for each in asked.spenders)
    width = 12 if out().width < WIDE else 30
    calls = "asked for" if asked.by == "tool" else "calls"
    columns = ["cost", "share", "", calls, *(["cost unknown"] if unknown else []), asked.by]
    shown = table(*columns, flexible=asked.by, right=["cost", "share", calls, "cost unknown"])
    for each, cost in zip(asked.spenders, costs, strict=False):
        amount = Decimal(each.spent.cost)
        shown.add_row(
            cost,
            percent(amount / total) if total else "–",
            bar(amount / largest if largest else 0, width, "name"),
            count(each.spent.calls),
            *([text((count(each.spent.unknown) if each.spent.unknown else "", "warn"))] if unknown else []),
            _name(asked.by, each),
        )
    blank = [""] if unknown else []
    if asked.others:
        rest = Decimal(asked.rest)
        share = percent(rest / total) if total else "–"
        others = text((f"{counted(asked.others, 'other')}", "faint"))
        shown.add_row(costs[-2], share, bar(0, width, ""), "", *blank, others)
    if len(asked.spenders) + asked.others > 1:
        shown.add_row(text((costs[-1], "head")), "", "", "", *blank, text(("altogether", "faint")))
    print_table(shown)


def _name(by: str, each: Spender) -> Text:
    name = clean(each.key)
    return text((name, "name")) if name else text((NAMELESS.get(by, "–"), "faint"))


def _levers(asked: Spend) -> None:
    if not asked.levers:
        say(out(), text(("Nothing was saved in that time.", "faint")))
        return
    levers = sorted(asked.levers, key=lambda lever: -Decimal(lever.saved))
    total, largest = Decimal(asked.saved), max(Decimal(lever.saved) for lever in levers)
    all_saved = dollars(asked.saved, known=all_known(levers))
    amounts = aligned([*(dollars(lever.saved, known=not lever.unknown) for lever in levers), all_saved])
    columns = ["saved", "share", "", "times", "tokens not sent", "by"]
    shown = table(*columns, flexible="by", right=["saved", "share", "times", "tokens not sent"])
    wide = out().width >= WIDE
    width = 30 if wide else 12
    for lever, amount in zip(levers, amounts, strict=False):
        shown.add_row(
            text((amount, "warn" if lever.unknown else "")),
            percent(Decimal(lever.saved) / total) if total else "–",
            bar(Decimal(lever.saved) / largest if largest else 0, width, "good"),
            count(lever.times),
            count(lever.tokens) if lever.tokens else "–",
            text((clean(lever_words(lever.lever)), "name"), (f"  {clean(lever.lever)}" if wide else "", "faint")),
        )
    if len(levers) > 1:
        shown.add_row(text((amounts[-1], "head")), "", "", "", "", text(("altogether", "faint")))
    print_table(shown)
    if unknown := sum(lever.unknown for lever in levers):
        of = sum(lever.times for lever in levers)
        say(out(), text((f"\nWithout {unknown:,} of {of:,} savings, whose price nobody knows", "warn")))
