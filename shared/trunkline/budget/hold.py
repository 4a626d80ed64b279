"""An amount that is held back: what its owner does with it once the call is over, or was never made."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from trunkline.budget.counters import What, add
from trunkline.budget.limits import Kind, Limit
from trunkline.budget.overrides import warned_key
from trunkline.bus.kept import put
from trunkline.bus.mailbox import Interrupted
from trunkline.bus.provision import BUDGETS, COUNTED_SECONDS
from trunkline.contracts.errors import BusUnavailable
from trunkline.prices import Money

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

log = structlog.get_logger("trunkline.budget")

ALERT_TENTHS = 8
"""Of a limit: from there on somebody is warned."""
REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """A limit, and the counter that it limits."""

    limit: Limit
    counter: str


@dataclass(frozen=True, slots=True)
class Warned:
    """A budget of which most is used up: `spent`, with what is held back for other calls, of `limit`."""

    kind: Kind
    who: str
    limit: Money
    spent: Money
    resets: datetime | None


class Hold:
    """`amount` is held back for `call` in each of `places`. Settle or release it: what is said first counts, and what
    is never told, since this process or the bus died, the refunds find on the log.
    """

    def __init__(self, bus: Bus, amount: Money, call: str, id_: str = "") -> None:
        self._bus = bus
        self.amount = amount
        self.id = id_
        self.places: tuple[Place, ...] = ()
        self.warnings: tuple[Warned, ...] = ()
        self._call = call

    @property
    def limits(self) -> tuple[str, ...]:
        """The counters, as a prompt names them."""
        return tuple(place.counter for place in self.places)

    async def settle(self, cost: Money) -> None:
        """The call is over, and cost that."""
        await self._close("settle", cost)

    async def release(self) -> None:
        """The call was not made, or has certainly cost nothing."""
        await self._close("release", Money())

    async def _close(self, what: What, cost: Money) -> None:
        change = cost.pico - self.amount.pico
        await asyncio.gather(*(self._tell(place, change, what) for place in self.places))

    async def _tell(self, place: Place, change: int, what: What) -> None:
        """Said a second time when nobody knows whether it was heard: the bus knows it again."""
        for last in (False, True):
            try:
                await add(
                    self._bus, place.counter, change, what=what, call=self._call, who=place.limit.who, hold=self.id
                )
            except BusUnavailable as error:
                if last or not isinstance(error, Interrupted):
                    log.info("left to the refunds", action="unsettled", call=self._call, reason=error.what)
                    return
            else:
                return


class Warnings:
    """Of each limit, and in each of its windows, one process warns once."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    async def first(self, bus: Bus, tenant: str, limit: Limit) -> bool:
        """Whether it is we who warn."""
        key = warned_key(tenant, limit)
        if key in self._known:
            return False
        try:
            first = await put(bus, BUDGETS, key, b"1", expected=0, seconds=COUNTED_SECONDS) is not None
        except BusUnavailable:
            return False
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known.add(key)
        return first
