"""Money is reserved before it is spent, in every budget that applies, and never more than any of them allows.

Each budget is a counter to which the server adds. Whoever wants to spend adds the most that it may cost, and is told a
total that includes all who were granted theirs before: when that is within the limit, everywhere, it is granted; else
all is taken back. No lock is held and no process need survive: what a dead one has left is given back by the refunds.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from trunkline.budget.counters import Count, add, look
from trunkline.budget.hold import ALERT_TENTHS, Hold, Place, Warned, Warnings
from trunkline.budget.limits import Spender, counter
from trunkline.budget.overrides import Overrides
from trunkline.budget.refusal import Full, over_budget
from trunkline.budget.settings import BudgetSettings
from trunkline.bus.clock import ServerClock
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.ids import new_event_id
from trunkline.prices import Money

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Before each try, in seconds, more or less. What others have added may be theirs for a moment only, until they see
that they are refused."""


class Budgets:
    """What may be spent by this process's agents. Enter `running`; `clock` is one that runs already."""

    def __init__(self, settings: BudgetSettings, clock: ServerClock | None = None) -> None:
        self.settings = settings
        self._clock = clock
        self._overrides = Overrides(settings)
        self._warnings = Warnings()
        self._bus: Bus | None = None

    @contextlib.asynccontextmanager
    async def running(self, bus: Bus) -> AsyncIterator[Budgets]:
        """Hear of limits that are set while inside. Raises BusUnavailable."""
        async with contextlib.AsyncExitStack() as stack:
            if self._clock is None:
                self._clock = await stack.enter_async_context(ServerClock().running(bus))
            await stack.enter_async_context(self._overrides.watching(bus))
            self._bus = bus
            yield self

    async def reserve(self, spender: Spender, amount: Money, *, call: str) -> Hold:
        """Hold `amount` back for `call`, the subject of its prompt, in each budget that limits `spender`.

        Raises OverBudget; BusUnavailable, when what may have been added is left to the refunds.
        """
        if self._bus is None or self._clock is None:
            raise RuntimeError("enter `running` before something is reserved")
        limits = self._overrides.limits_of(spender, self._clock.now()) if amount.pico else []
        if not limits:
            return Hold(self._bus, amount, call)
        places = [Place(limit, counter(spender.tenant, limit.kind, limit.window, limit.who)) for limit in limits]
        return await _Reservation(self._bus, self._warnings, spender.tenant, amount, call, places).made()


class _Reservation:
    """One amount in several places: in all of them, or in none."""

    def __init__(
        self, bus: Bus, warnings: Warnings, tenant: str, amount: Money, call: str, places: Sequence[Place]
    ) -> None:
        self._bus = bus
        self._warnings = warnings
        self._tenant = tenant
        self._amount = amount
        self._call = call
        self._places = places
        self._seen: dict[str, Count] = {}
        self._full: list[Full] = []

    async def made(self) -> Hold:
        """Looks before it adds, so that who is refused is in nobody's way; looks again while others come and go, for
        what they have added may be gone in a moment. Raises OverBudget; BusUnavailable, when it is lost twice.
        """
        losses = 0
        for pause in PAUSES:
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # spreads tries, guards nothing
            try:
                firm = await self._look()
                if not self._full and (hold := await self._try()):
                    return hold
            except BusUnavailable:
                losses += 1
                if losses > 1 or pause == PAUSES[-1]:
                    raise
            else:
                if firm:
                    break
        raise over_budget(self._full, self._amount)

    async def _look(self) -> bool:
        """Which limits leave no room now; whether one of them has not moved since the last look, so that nothing in it
        is there for a moment only.
        """
        before, self._seen = self._seen, await look(self._bus, (place.counter for place in self._places))
        full = {place: self._seen[place.counter] for place in self._places if not self._fits(place)}
        self._full = [Full(place.limit, Money(count.pico)) for place, count in full.items()]
        return any(count == before.get(place.counter) for place, count in full.items())

    def _fits(self, place: Place) -> bool:
        return self._seen[place.counter].pico + self._amount.pico <= place.limit.amount.pico

    async def _try(self) -> Hold | None:
        """Add everywhere at once; None when it is too much somewhere, and all has been taken back.

        Raises BusUnavailable. What may have been added then nobody takes back here: if it was not, that would give
        back what was never held.
        """
        hold = Hold(self._bus, self._amount, self._call, new_event_id())
        totals = await asyncio.gather(*(self._add(place, hold) for place in self._places), return_exceptions=True)
        taken = [(place, total) for place, total in zip(self._places, totals, strict=True) if isinstance(total, int)]
        hold.places = tuple(place for place, _ in taken)
        over = [(place, total - self._amount.pico) for place, total in taken if total > place.limit.amount.pico]
        if len(taken) == len(self._places) and not over:
            hold.warnings = await self._warned(taken)
            return hold
        await hold.release()
        for error in totals:
            if isinstance(error, BaseException):
                raise error
        self._full = [Full(place.limit, Money(spent)) for place, spent in over]
        return None

    async def _add(self, place: Place, hold: Hold) -> int:
        total = await add(
            self._bus,
            place.counter,
            self._amount.pico,
            what="reserve",
            call=self._call,
            who=place.limit.who,
            hold=hold.id,
        )
        return total or 0

    async def _warned(self, taken: Sequence[tuple[Place, int]]) -> tuple[Warned, ...]:
        """By what was there before: of the amount itself, most will likely be given back."""
        near = [
            Warned(place.limit.kind, place.limit.who, place.limit.amount, Money(before), place.limit.resets)
            for place, before in ((place, total - self._amount.pico) for place, total in taken)
            if 10 * before >= ALERT_TENTHS * place.limit.amount.pico
            and await self._warnings.first(self._bus, self._tenant, place.limit)
        ]
        return tuple(near)
