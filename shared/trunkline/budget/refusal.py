"""What a refused call is told: which budget, how much of it is left, when it begins anew, and what to do."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from trunkline.budget.limits import Limit
from trunkline.contracts.errors import OverBudget
from trunkline.prices import Money

_SHOWN = Decimal("0.000001")
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Full:
    """A limit that leaves no room, and what others hold or have spent of it."""

    limit: Limit
    spent: Money

    @property
    def left(self) -> Money:
        return Money(max(0, self.limit.amount.pico - self.spent.pico))


def over_budget(full: Sequence[Full], needed: Money) -> OverBudget:
    """Names the one of several that leaves least; of those, the one that goes on longest."""
    tightest = min(full, key=_least_and_longest)
    limit, left = tightest.limit, tightest.left
    resets = f"{limit.resets:%Y-%m-%d %H:%M} UTC" if limit.resets else ""
    begins = f" It begins anew at {resets}." if resets else ""
    return OverBudget(
        f"{_said(limit)} has ${_dollars(left, ROUND_FLOOR)} of ${_dollars(limit.amount, ROUND_FLOOR)} left, and this "
        f"call may cost ${_dollars(needed, ROUND_CEILING)}.{begins}",
        _hint(limit, Money(needed.pico - left.pico), resets),
        kind=limit.kind,
        who=limit.who,
        limit=str(limit.amount),
        left=str(left),
        needed=str(needed),
        resets=limit.resets.isoformat() if limit.resets else "",
    )


def _least_and_longest(full: Full) -> tuple[int, float]:
    resets = full.limit.resets
    return full.left.pico, -resets.timestamp() if resets else float("-inf")


def _said(limit: Limit) -> str:
    match limit.kind:
        case "run" | "conversation":
            return f"The budget of this {limit.kind}"
        case "tenant-month":
            return f"The budget of tenant {limit.who} for this month"
        case _:
            return f"The budget of {limit.kind.removesuffix('-day')} {limit.who} for today"


def _hint(limit: Limit, missing: Money, resets: str) -> str:
    more = _dollars(missing, ROUND_CEILING, _CENT)
    match limit.kind:
        case "run":
            raised = Money(limit.amount.pico + missing.pico)
            return (
                f"Ask for less, or allow every run more: `trunkline budget set run {_dollars(raised, ROUND_CEILING)}`."
            )
        case "tenant-day" | "tenant-month":
            for_whom = ""
        case _:
            for_whom = f" --for {shlex.quote(limit.who)}"
    wait = f"Wait until {resets}, ask" if resets else "Ask"
    return f"{wait} for less, or allow more: `trunkline budget top-up {limit.kind} {more}{for_whom}`."


def _dollars(amount: Money, rounding: str, step: Decimal = _SHOWN) -> str:
    """At least two decimals, at most six; rounded so that what is left never looks like enough."""
    whole, _, decimals = f"{amount.dollars.quantize(step, rounding):f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"
