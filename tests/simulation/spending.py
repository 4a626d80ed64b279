"""Law 9, checked by what is paid, held and said: of each call, in each counter."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.simulation.stored import Stored
from tests.simulation.world import World
from trunkline.budget import Kind, Spender
from trunkline.budget.counters import CALL, WHAT
from trunkline.budget.limits import counter, resets_of, window_of
from trunkline.contracts.subjects import BUDGET
from trunkline.prices import Money

RESERVED = "law 9: money is reserved before it is spent"
WITHIN = "law 9: no more is spent than a limit allows"
COVERED = "law 9: what is spent stays counted"
GIVEN_BACK = "law 9: what is not spent is given back"
REFUSED = "law 9: who is refused is told why, and it is so"
CLOCKS_BEHIND = 60.0
"""Seconds: who pays may have reserved it so long ago, by a clock that is behind."""
SAID_WITHIN = 900.0
"""Seconds: who is refused may stand still for so long until it is on the log."""

Limits = Mapping[Kind, Money]


class Spending:
    """Books of what is really paid, `by call` and counter, and of what the counters have of it. All in picodollars."""

    def __init__(self, world: World, limits: Limits, broken: Callable[[str, str], None]) -> None:
        self.limits = limits
        self.by_counter: dict[str, Money] = {}
        self.broken = broken
        self.refusals = 0
        self.refunds = 0
        self._world = world
        self._named: dict[str, tuple[str, ...]] = {}
        self._net: Counter[tuple[str, str]] = Counter()
        self._paid: dict[tuple[str, str], int] = {}
        self._spent: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._stood_at: dict[str, set[int]] = defaultdict(lambda: {0})

    def opened(self, call: str, prompt: dict[str, Any]) -> None:
        """A worker says that it is about to pay."""
        self._named[call] = tuple(prompt.get("limits", ()))

    def pays(self, call: str, spender: Spender, cost: int) -> None:
        """It pays for what it said: so much in the end."""
        if not self.limits:
            return
        counters, now = self._named[call], self._world.unix
        if set(counters) not in [self._counters_of(spender, moment) for moment in (now, now - CLOCKS_BEHIND)]:
            self.broken(RESERVED, f"{call} is paid by {spender}, and is held back in {counters}")
        for each in counters:
            self._pays(call, each, cost)

    def counted(self, entry: Stored) -> None:
        """An amount was added to a counter."""
        headers, to = entry.headers, entry.subject
        call, amount = headers[CALL], int(headers["Nats-Incr"])
        if self._world.told:
            self._world.say(f"          {BUDGET} {entry.sequence}: {to} {amount:+} {headers[WHAT]} {call}")
        self._net[call, to] += amount
        self._totals[to] += amount
        self._stood_at[to].add(self._totals[to])
        if headers[WHAT] == "refund":
            self.refunds += 1
        if self._net[call, to] < (paid := self._paid.get((call, to), 0)):
            self.broken(COVERED, f"{to} counts {self._net[call, to]} of {call}, for which {paid} is paid")

    def refused(self, why: dict[str, Any]) -> None:
        """A call was not made since a limit left no room for it: one that there is, by what its counter stood at."""
        self.refusals += 1
        kind, limit, left = why["kind"], Money.parse(why["limit"]), Money.parse(why["left"])
        days = [datetime.fromtimestamp(self._world.unix - ago, UTC) for ago in (0.0, SAID_WITHIN)]
        counters = [counter("main", kind, window_of(kind, day), why["who"]) for day in days]
        there = {max(0, limit.pico - total) for each in counters for total in self._stood_at[each]}
        resets = {day.isoformat() if day else "" for day in (resets_of(kind, day) for day in days)}
        if self.limits.get(kind) != limit or left.pico not in there or why["resets"] not in resets:
            self.broken(REFUSED, f"{why} is not so: {counters[0]} stood at {sorted(self._stood_at[counters[0]])}")
        elif Money.parse(why["needed"]) <= left:
            self.broken(REFUSED, f"{why} leaves enough")

    def judge(self, counts: Mapping[str, int], *, calm: bool) -> None:
        """Everything is at rest: `counts` are the calls' by the log. Where it was `calm`, each has settled its own."""
        for (call, to), net in self._net.items():
            said = counts.get(call, 0) if to in self._named.get(call, ()) else 0
            if net != said:
                self.broken(COVERED if net < said else GIVEN_BACK, f"{to} counts {net} of {call}; the log says {said}")
        if calm and self.refunds:
            self.broken(GIVEN_BACK, f"nothing went wrong, and {self.refunds} amounts were left to the refunds")

    def _pays(self, call: str, to: str, cost: int) -> None:
        if self._net[call, to] < cost:
            self.broken(RESERVED, f"{call} costs {cost}, of which {to} holds {self._net[call, to]} back")
        self._paid[call, to] = cost
        self._spent[to] += cost
        if self._spent[to] > self.by_counter[to].pico:
            self.broken(WITHIN, f"{to} has paid {Money(self._spent[to])} of {self.by_counter[to]}")

    def _counters_of(self, spender: Spender, moment: float) -> set[str]:
        now = datetime.fromtimestamp(moment, UTC)
        found = {
            counter(spender.tenant, kind, window_of(kind, now), spender.who(kind)): amount
            for kind, amount in self.limits.items()
        }
        self.by_counter |= found
        return set(found)
