"""Gives back what was reserved for calls that nobody settled: their process died, stood still, or was cut off.

Reads every amount that was added to a counter, from a mark on. What is still held a while after it was read is looked
up on the log, which says what the call counts, and from which hold it is paid; the difference goes back, and all of a
hold from which it is not. Where the log does not say from which, one of them pays. Nobody's clock is asked for that,
since one that is set forward would have it given back while the call is about to be paid. That closes the hold under
the name by which its owner would have closed it, so that whoever comes second, the owner or another one of these,
changes nothing any more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from trunkline.budget.charged import GRACE_SECONDS, charged, evidence, holder
from trunkline.budget.counters import Entry, add
from trunkline.bus.fold import last
from trunkline.bus.follow import follow
from trunkline.bus.marks import Mark, keep_mark, read_mark
from trunkline.bus.streams import stream_info
from trunkline.contracts.codec import Event
from trunkline.contracts.errors import BadMessage, BadSubject, InvalidName, TryAgain
from trunkline.contracts.subjects import BUDGET, Subject
from trunkline.prices import Money

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

log = structlog.get_logger("trunkline.budget")

READER = "refunds"
AGAIN_SECONDS = 1.0
LOOK_SECONDS = 15.0
LAG_SECONDS = 10.0


@dataclass(slots=True)
class _Account:
    """The holds of one call in one counter that nobody has closed, the oldest first; and the `net` of what it has added
    there while there was one. `heard`: when the newest was read, by the event loop's clock.
    """

    holds: dict[str, Entry] = field(default_factory=dict)
    net: int = 0
    heard: float = 0.0


class Refunds:
    """Enter `refunding`. `grace`: seconds after which a hold that was read is looked at; shorter than GRACE_SECONDS
    only where nobody is at work who may pay later than that.
    """

    def __init__(self, bus: Bus, *, grace: float = GRACE_SECONDS) -> None:
        self._bus = bus
        self._grace = grace
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._position = 0
        self._read = asyncio.Event()

    @contextlib.asynccontextmanager
    async def refunding(self) -> AsyncIterator[Refunds]:
        """Give back while inside. Raises BusUnavailable."""
        mark = await read_mark(self._bus, READER, BUDGET)
        self._position = mark.sequence
        tasks = [
            asyncio.create_task(self._keep_reading(), name="read the budgets"),
            asyncio.create_task(self._keep_looking(mark), name="refund"),
        ]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def open(self) -> int:
        """How many amounts are held back, as far as has been read."""
        return sum(len(account.holds) for account in self._accounts.values())

    async def look(self) -> None:
        """Refund what is due. Raises TryAgain."""
        if not self._accounts:
            return
        by_call = defaultdict(list)
        moment = asyncio.get_running_loop().time() - self._grace
        await self._up_to((await stream_info(self._bus, BUDGET)).last_sequence)
        for (call, _), account in self._accounts.items():
            if account.heard <= moment:
                by_call[call].append(account)
        for call, accounts in by_call.items():
            try:
                await self._settle(call, accounts)
            except TryAgain:
                raise
            except Exception as error:  # the others must not wait for what cannot be refunded
                log.error("cannot refund", action="refund_failed", call=call, exc_info=error)

    async def _keep_reading(self) -> None:
        """Whatever goes wrong is said, and read on behind it; without a bus there is nothing more to read."""
        while not self._bus.lost.is_set():
            try:
                async for batch in follow(self._bus, BUDGET, after=self._position):
                    for message in batch:
                        self._position = message.sequence
                        try:
                            self._take(Entry.read(message))
                        except BadMessage as error:
                            log.warning("left out of the budgets", action="bad_entry", reason=str(error))
                    self._read.set()
                    self._read = asyncio.Event()
            except Exception as error:
                log.error("cannot read the budgets", action="budgets_unread", exc_info=error)
                await asyncio.sleep(AGAIN_SECONDS)

    def _take(self, entry: Entry) -> None:
        """A hold that was reserved before the mark is nobody's any more."""
        key = entry.call, entry.counter
        if entry.what == "reserve":
            account = self._accounts.setdefault(key, _Account())
            account.holds[entry.hold] = entry
            account.net += entry.pico
            account.heard = asyncio.get_running_loop().time()
        elif key in self._accounts and entry.hold in self._accounts[key].holds:
            self._accounts[key].net += entry.pico
            self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        key = entry.call, entry.counter
        account = self._accounts.get(key, _Account())
        account.holds.pop(entry.hold, None)
        if not account.holds:
            self._accounts.pop(key, None)

    async def _up_to(self, sequence: int) -> None:
        """Until all is read that stands there: nobody is refunded by what was true a while ago. Raises TryAgain."""
        try:
            async with asyncio.timeout(LAG_SECONDS):
                while self._position < sequence:
                    await self._read.wait()
        except TimeoutError as error:
            raise TryAgain(f"The budgets are read up to {self._position}, not to {sequence}.") from error

    async def _keep_looking(self, kept: Mark) -> None:
        while True:
            await asyncio.sleep(min(self._grace / 4, LOOK_SECONDS))
            try:
                await self.look()
                mark = Mark(self._oldest(), kept.log)
                if mark.sequence > kept.sequence:
                    await keep_mark(self._bus, READER, mark)
                    kept = mark
            except TryAgain as error:
                log.info("will look again", action="refund_again", reason=str(error))
            except Exception as error:
                log.error("cannot refund", action="refund_failed", exc_info=error)

    def _oldest(self) -> int:
        """Behind this, all matters that is read."""
        held = (entry.sequence - 1 for account in self._accounts.values() for entry in account.holds.values())
        return min(held, default=self._position)

    async def _settle(self, call: str, accounts: list[_Account]) -> None:
        subject = _call_named(call)
        found = await asyncio.gather(*(last(self._bus, name) for name in evidence(subject))) if subject else []
        events = [event for event in found if event]
        for account in accounts:
            for entry, change in _changes(subject, events, account):
                await self._refund(entry, change)

    async def _refund(self, entry: Entry, change: int) -> None:
        """What keeps all that it has is only forgotten, for its owner may yet know better."""
        if not change:
            self._forget(entry)
            return
        await add(self._bus, entry.counter, change, what="refund", call=entry.call, who=entry.who, hold=entry.hold)
        log.info("refunded", action="refunded", counter=entry.counter, call=entry.call, pico=-change)


def _call_named(call: str) -> Subject | None:
    """None when no call has that name."""
    try:
        subject = Subject.parse(call)
        return subject if evidence(subject) else None
    except (BadSubject, InvalidName):
        return None


def _changes(call: Subject | None, events: list[Event], account: _Account) -> list[tuple[Entry, int]]:
    """What is to be added for each hold, as the log's leader has its call; none for what is not known yet. Of what is
    no call's name nobody knows: it keeps all.
    """
    held, net = list(account.holds.values()), account.net
    if call is None:
        return [(entry, 0) for entry in held]
    paid_from, changes = holder(call, events), []
    for entry in held:
        counts = Money() if paid_from not in ("", entry.hold) else charged(call, events, Money(entry.pico))
        if counts is not None:
            beside = 0 if paid_from else net - entry.pico
            change = max(0, counts.pico - beside) - entry.pico
            net += change
            changes.append((entry, change))
    return changes
