"""Limits that were set while the platform runs, and top-ups: what the bucket says, followed in every process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import structlog

from trunkline.budget.limits import KINDS, Kind, Limit, Spender, resets_of, token_of, window_of
from trunkline.budget.settings import BudgetSettings, amount_of
from trunkline.bus.kept import Kept, follow_keys
from trunkline.bus.provision import BUDGETS
from trunkline.contracts.codec import decode
from trunkline.contracts.errors import BadMessage, BusUnavailable
from trunkline.prices import Money

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

log = structlog.get_logger("trunkline.budget")

EVERYBODY = "-"
AGAIN_SECONDS = 1.0
_LIMIT, _TOP_UP, _WARNED = "limit", "top-up", "warned"


class SetLimit(msgspec.Struct, frozen=True):
    """`amount`: as the settings file spells it. `who` is empty where it is for all who have none of their own."""

    amount: str
    who: str
    by: str
    at: datetime


class TopUp(msgspec.Struct, frozen=True):
    """`id` is random, so that whoever lost the acknowledgement knows it again."""

    id: str
    amount: str
    by: str
    at: datetime


class TopUps(msgspec.Struct, frozen=True):
    """All of one window."""

    who: str
    entries: tuple[TopUp, ...] = ()

    @property
    def total(self) -> Money:
        """Raises ValueError for an amount that is none."""
        return Money(sum(Money.parse(entry.amount).pico for entry in self.entries))


def limit_key(tenant: str, kind: Kind, who: str) -> str:
    """Of the limit that is set for `who`; an empty name is everybody."""
    return f"{_LIMIT}.{tenant}.{kind}.{token_of(who) if who else EVERYBODY}"


def top_up_key(tenant: str, kind: Kind, window: str, who: str) -> str:
    return f"{_TOP_UP}.{tenant}.{kind}.{window}.{token_of(who)}"


def warned_key(tenant: str, limit: Limit) -> str:
    """A limit that has been changed is another one, of which may be warned again."""
    return f"{_WARNED}.{tenant}.{limit.kind}.{limit.window}.{token_of(limit.who)}.{limit.amount.pico}"


class Overrides:
    """What has been set. A limit for a name wins over one for all, which wins over the settings file; top-ups come on
    top. Enter `watching`.
    """

    def __init__(self, settings: BudgetSettings) -> None:
        self.settings = settings
        self.limits: dict[str, SetLimit] = {}
        self.top_ups: dict[str, TopUps] = {}

    def limits_of(self, spender: Spender, now: datetime) -> list[Limit]:
        """All that limit what `spender` pays now."""
        found = (self.limit(spender.tenant, kind, spender.who(kind), now) for kind in KINDS)
        return [limit for limit in found if limit is not None]

    def limit(self, tenant: str, kind: Kind, who: str, now: datetime) -> Limit | None:
        """None when nothing limits it."""
        amount = self._base(tenant, kind, who)
        if amount is None:
            return None
        window = window_of(kind, now)
        return Limit(kind, who, window, amount + self.topped_up(tenant, kind, window, who), resets_of(kind, now))

    def topped_up(self, tenant: str, kind: Kind, window: str, who: str) -> Money:
        found = self.top_ups.get(top_up_key(tenant, kind, window, who))
        return found.total if found else Money()

    @contextlib.asynccontextmanager
    async def watching(self, bus: Bus) -> AsyncIterator[Overrides]:
        """Follow the bucket while inside; on entering, all is known that was set. Raises BusUnavailable."""
        ready = asyncio.Event()
        task = asyncio.create_task(self._keep_following(bus, ready), name=f"watch {BUDGETS}")
        try:
            try:
                async with asyncio.timeout(10):
                    await ready.wait()
            except TimeoutError as error:
                raise BusUnavailable(
                    f"The limits that were set cannot be read: no bucket {BUDGETS} answers.",
                    "Run `trunkline provision`, then try again.",
                ) from error
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep_following(self, bus: Bus, ready: asyncio.Event) -> None:
        """Whatever goes wrong is said, and the bucket read anew; without a bus nothing more is set."""
        while not bus.lost.is_set():
            try:
                async for batch in follow_keys(bus, BUDGETS, f"{_LIMIT}.>", f"{_TOP_UP}.>"):
                    for kept in batch:
                        self._hear(kept)
                    if not batch:
                        ready.set()
            except Exception as error:  # a limit that nobody hears of limits nothing
                log.error("cannot see which limits are set", action="budgets_unseen", exc_info=error)
                await asyncio.sleep(AGAIN_SECONDS)

    def _hear(self, kept: Kept) -> None:
        """What cannot be read changes nothing."""
        try:
            if kept.key.startswith(f"{_LIMIT}."):
                limit = decode(kept.data, SetLimit)
                amount_of(limit.amount)
                self.limits[kept.key] = limit
            else:
                top_ups = decode(kept.data, TopUps)
                _ = top_ups.total
                self.top_ups[kept.key] = top_ups
        except (BadMessage, ValueError) as error:
            log.warning("left out a limit that cannot be read", action="bad_limit", key=kept.key, reason=str(error))

    def _base(self, tenant: str, kind: Kind, who: str) -> Money | None:
        for name in (who, ""):
            found = self.limits.get(limit_key(tenant, kind, name))
            if found is not None:
                return amount_of(found.amount)
        return self.settings.amount(kind)
