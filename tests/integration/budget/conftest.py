"""Budgets on a real bus, and its counters read back entry by entry."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from typing import Literal

from nats.aio.msg import Msg

from trunkline.budget import Budgets, BudgetSettings, Hold, Kind, Spender
from trunkline.budget.book import checked_kind
from trunkline.budget.counters import WHAT, Entry
from trunkline.bus import Bus, follow
from trunkline.bus.mailbox import Interrupted
from trunkline.contracts.errors import BadMessage, OverBudget
from trunkline.contracts.ids import new_run_id
from trunkline.contracts.subjects import BUDGET, RunKey, Subject
from trunkline.prices import Money

NO_LIMITS = BudgetSettings(run=None, conversation=None, user_day=None, tenant_day=None, tenant_month=None)


def dollars(text: str) -> Money:
    return Money.parse(text)


def limited(**amounts: str) -> BudgetSettings:
    """By those alone."""
    return NO_LIMITS.model_copy(update={name: Money.parse(amount) for name, amount in amounts.items()})


def anna(run: str = "r", conversation: str = "c", user: str = "anna", agent: str = "billing") -> Spender:
    return Spender("main", conversation, run, user, agent)


def new_call(spender: Spender | None = None) -> Subject:
    """The prompt's subject of a first attempt, in a run of its own."""
    run = RunKey.checked(new_run_id(), spender.conversation if spender else "c")
    return run.step("prompt", spender.agent if spender else "billing", "m1-1")


@contextlib.asynccontextmanager
async def many_budgets(url: str, settings: BudgetSettings, count: int) -> AsyncIterator[list[Budgets]]:
    """As many processes would have them: each on a connection of its own."""
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            bus = await stack.enter_async_context(Bus.open(url))
            found.append(await stack.enter_async_context(Budgets(settings).running(bus)))
        yield found


async def try_to_reserve(budgets: Budgets, spender: Spender, amount: Money) -> Hold | None:
    """None when it is refused."""
    try:
        return await budgets.reserve(spender, amount, call=str(new_call(spender)))
    except OverBudget:
        return None


async def entries(bus: Bus) -> list[Entry]:
    """All that can be read of what was ever added, in the order in which the server added it."""
    found: list[Entry] = []
    async for batch in follow(bus, BUDGET):
        if not batch:
            break
        for message in batch:
            with contextlib.suppress(BadMessage):
                found.append(Entry.read(message))
    return found


async def totals(bus: Bus) -> dict[Kind, str]:
    """By kind, summed up here rather than by the server."""
    found: Counter[Kind] = Counter()
    for entry in await entries(bus):
        found[kind_of(entry)] += entry.pico
    return {kind: str(Money(pico)) for kind, pico in found.items()}


def kind_of(entry: Entry) -> Kind:
    return checked_kind(entry.counter.split(".")[2])


def most_held(of: Iterable[Entry], granted: Collection[str]) -> dict[Kind, int]:
    """The most that was held at once, in one counter, by those that were granted theirs: in picodollars by kind, over
    all prefixes of the entries.
    """
    held: Counter[str] = Counter()
    most: Counter[Kind] = Counter()
    for entry in of:
        if entry.hold in granted:
            held[entry.counter] += entry.pico
            most[kind_of(entry)] = max(most[kind_of(entry)], held[entry.counter])
    return dict(most)


Loss = Literal["", "request", "reply"]


@contextlib.contextmanager
def losing(bus: Bus, which: Callable[[str, str], Loss]) -> Iterator[None]:
    """A connection that breaks before the bus hears of an entry, or before its reply comes: `which` says so by what
    the entry is, and of what kind its counter.
    """
    ask = bus.mailbox.request

    async def request(
        subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None, wait: float = 5.0
    ) -> Msg:
        lost = which((headers or {}).get(WHAT, ""), subject.split(".")[2]) if subject.startswith("budget.") else ""
        if lost == "request":
            raise Interrupted("lost before it was heard")
        reply = await ask(subject, payload, headers=headers, wait=wait)
        if lost:
            raise Interrupted("lost after it was heard")
        return reply

    bus.mailbox.request = request  # type: ignore[method-assign]
    try:
        yield
    finally:
        bus.mailbox.request = ask  # type: ignore[method-assign]


@contextlib.contextmanager
def losing_put(bus: Bus, *, every: int) -> Iterator[None]:
    """Every so many puts into a bucket are stored, and not acknowledged."""
    ask, puts = bus.mailbox.request, itertools.count(1)

    async def request(
        subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None, wait: float = 5.0
    ) -> Msg:
        reply = await ask(subject, payload, headers=headers, wait=wait)
        if subject.startswith("$KV.") and next(puts) % every == 0:
            raise Interrupted("lost after it was heard")
        return reply

    bus.mailbox.request = request  # type: ignore[method-assign]
    try:
        yield
    finally:
        bus.mailbox.request = ask  # type: ignore[method-assign]
