"""A candidate's decisions against those that were made: what would change, and what that would cost. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from trunkline.cli.backtest_log import Past

REFUSED = "(refused)"


@dataclass(frozen=True, slots=True)
class Decision:
    """Who gets a question, or that nobody does; `unasked`: a hosted model would have been asked first, and said
    nothing; `why`: what kept it from being asked.
    """

    agent: str
    tier: str = ""
    source: str = ""
    refusal: str = ""
    unasked: bool = False
    why: str = ""
    ms: float = 0.0

    @property
    def place(self) -> str:
        return place(self.agent, self.tier) if not self.refusal else REFUSED


@dataclass(frozen=True, slots=True)
class Change:
    """A question that would go elsewhere. `right`: by the feedback; None when that does not say."""

    past: Past
    new: Decision

    @property
    def right(self) -> bool | None:
        past = self.past
        if past.corrected:
            return self.new.agent == past.corrected
        if self.new.agent != past.agent:
            return False if past.verdict > 0 else None
        return True if past.verdict < 0 and self.new.tier == "large" else None

    def as_data(self) -> dict[str, Any]:
        past = self.past
        return {
            "run": past.run,
            "question": past.question,
            "from": place(past.agent, past.tier),
            "to": self.new.place,
            "source": self.new.source,
            "verdict": past.verdict if past.verdicts else None,
            "corrected_to": past.corrected or None,
            "right": self.right,
        }


@dataclass(frozen=True, slots=True)
class CostChange:
    """US dollars of all questions as they were decided and by the candidate, by what a question costs an agent and tier
    on the average; `unknown` questions are in neither, since nothing is known of what the same cost.
    """

    decided: Decimal
    candidate: Decimal
    unknown: int


@dataclass(frozen=True, slots=True)
class Bill:
    """US dollars, without `unknown` calls, of which nobody knows what they cost."""

    cost: Decimal = Decimal(0)
    unknown: int = 0

    def __add__(self, other: Bill) -> Bill:
        return Bill(self.cost + other.cost, self.unknown + other.unknown)


@dataclass(frozen=True, slots=True)
class Shown:
    """How many questions the candidate's hosted model was shown, and what that cost; how many it was not, and `why`."""

    questions: int
    bill: Bill
    refused: int = 0
    why: str = ""

    def as_data(self) -> dict[str, Any]:
        cost = _to_the_picodollar(self.bill.cost)
        refused = {"questions": self.refused, "why": self.why} if self.refused else None
        return {"questions": self.questions, "cost": cost, "unknown": self.bill.unknown, "refused": refused}


@dataclass(frozen=True, slots=True)
class Report:
    """`now` and `candidate` are milliseconds of the decisions, by today's settings and the candidate's; `shown` is None
    where the hosted model was left alone.
    """

    questions: int
    agreed: int
    unasked: int
    shown: Shown | None
    moves: tuple[tuple[str, str, int], ...]
    changes: tuple[Change, ...]
    cost: CostChange
    now: tuple[float, ...]
    candidate: tuple[float, ...]

    def as_data(self) -> dict[str, Any]:
        return {
            "questions": self.questions,
            "agreed": self.agreed,
            "unasked": self.unasked,
            "hosted": self.shown.as_data() if self.shown else None,
            "moves": [{"from": old, "to": new, "questions": count} for old, new, count in self.moves],
            "cost": {
                "decided": _to_the_picodollar(self.cost.decided),
                "candidate": _to_the_picodollar(self.cost.candidate),
                "unknown": self.cost.unknown,
            },
            "milliseconds": {
                name: {"p50": percentile(taken, 50), "p95": percentile(taken, 95)}
                for name, taken in (("now", self.now), ("candidate", self.candidate))
            },
            "changes": [change.as_data() for change in self.changes],
        }


def place(agent: str, tier: str) -> str:
    return f"{agent} ({tier})" if tier else agent


def report(
    pasts: Sequence[Past], now: Sequence[Decision], candidate: Sequence[Decision], shown: Shown | None = None
) -> Report:
    """Of decisions in the order of `pasts`. Changes with feedback stand first, those that it calls wrong before all."""
    changes = [
        Change(past, new)
        for past, new in zip(pasts, candidate, strict=True)
        if new.place != place(past.agent, past.tier)
    ]
    moves = Counter((place(each.past.agent, each.past.tier), each.new.place) for each in changes)
    changes.sort(key=lambda each: (not each.past.verdicts, {False: 0, True: 1, None: 2}[each.right]))
    return Report(
        questions=len(pasts),
        agreed=len(pasts) - len(changes),
        unasked=sum(each.unasked for each in candidate),
        shown=shown,
        moves=tuple((old, new, count) for (old, new), count in sorted(moves.items(), key=lambda at: (-at[1], at[0]))),
        changes=tuple(changes),
        cost=_cost(pasts, candidate),
        now=tuple(each.ms for each in now),
        candidate=tuple(each.ms for each in candidate),
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest rank; 0 of nothing."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)] if ranked else 0.0


def _cost(pasts: Sequence[Past], candidate: Sequence[Decision]) -> CostChange:
    """A refused question costs nothing; an agent's tier that was never used costs what the agent does."""
    means = _means(pasts)
    decided = new = Decimal(0)
    unknown = 0
    for past, decision in zip(pasts, candidate, strict=True):
        before = _mean(means, past.agent, past.tier)
        after = Decimal(0) if decision.refusal else _mean(means, decision.agent, decision.tier)
        if before is None or after is None:
            unknown += 1
            continue
        decided += before
        new += after
    return CostChange(decided, new, unknown)


def _means(pasts: Sequence[Past]) -> dict[tuple[str, str | None], Decimal]:
    """By agent and tier; by agent alone under the tier None."""
    costs: dict[tuple[str, str | None], list[Decimal]] = defaultdict(list)
    for past in pasts:
        if past.cost is not None:
            costs[past.agent, past.tier].append(past.cost)
            costs[past.agent, None].append(past.cost)
    return {key: sum(found, Decimal(0)) / len(found) for key, found in costs.items()}


def _mean(means: Mapping[tuple[str, str | None], Decimal], agent: str, tier: str) -> Decimal | None:
    found = means.get((agent, tier))
    return means.get((agent, None)) if found is None else found


def _to_the_picodollar(dollars: Decimal) -> str:
    """Plain digits: a mean may have no end."""
    return f"{round(dollars, 12).normalize():f}"
