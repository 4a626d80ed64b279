"""What an operator does with budgets: sets a limit, tops one up, and sees how they all stand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

import msgspec

from trunkline.budget.counters import Count, count_of
from trunkline.budget.limits import KINDS, NO_WINDOW, Kind, name_of, resets_of, window_of
from trunkline.budget.overrides import Overrides, SetLimit, TopUp, TopUps, limit_key, top_up_key
from trunkline.budget.settings import LARGEST, NONE, BudgetSettings
from trunkline.bus.follow import follow
from trunkline.bus.kept import Kept, newest, put
from trunkline.bus.mailbox import Interrupted
from trunkline.bus.provision import BUDGETS, COUNTED_SECONDS
from trunkline.bus.streams import server_now
from trunkline.contracts.codec import decode, encode
from trunkline.contracts.errors import BadMessage, BusUnavailable, InvalidArguments
from trunkline.contracts.ids import checked_token, new_event_id
from trunkline.contracts.subjects import BUDGET, budget_counter
from trunkline.prices import Money

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

TRIES = 50
OF_TENANT: tuple[Kind, ...] = ("tenant-day", "tenant-month")
_Stored = TypeVar("_Stored", SetLimit, TopUps)


@dataclass(frozen=True, slots=True)
class Standing:
    """One budget now. `spent` is with what is held back for calls under way. `limit` is None where nothing limits it;
    else it includes what was `topped_up` in this window, by those in `topped_up_by`. Where there is but one window, it
    has no name and `resets` is None.
    """

    kind: Kind
    who: str
    window: str
    spent: Money
    limit: Money | None
    resets: datetime | None
    topped_up: Money
    topped_up_by: tuple[str, ...]

    @property
    def left(self) -> Money | None:
        return None if self.limit is None else Money(max(0, self.limit.pico - self.spent.pico))


def checked_kind(text: str) -> Kind:
    """Raises InvalidArguments, which names the nearest."""
    for kind in KINDS:
        if kind == text:
            return kind
    near = get_close_matches(text, KINDS, n=1, cutoff=0.5)
    hint = f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(KINDS)}."
    raise InvalidArguments(f"{text[:40]!r} is no kind of budget.", hint)


async def set_limit(bus: Bus, tenant: str, kind: str, who: str | None, amount: Money | None, by: str) -> None:
    """From now on, in every window: for `who`, or for all who have no limit of their own. None lifts it, 0 lets nothing
    be spent. What was spent while there was no limit is not counted. Raises InvalidArguments, BusUnavailable.
    """
    known = checked_kind(kind)
    whose = _named(checked_token(tenant, "tenant"), known, who)
    if amount is not None:
        _believable(amount)
    said = SetLimit(NONE if amount is None else str(amount), whose, by, await server_now(bus, BUDGET))
    await _change(bus, limit_key(tenant, known, whose), SetLimit, lambda _: said, lambda found: found == said)


async def top_up(bus: Bus, tenant: str, kind: str, who: str | None, amount: Money, by: str) -> Money:
    """More for `who` in the present window only, on top of what others top up at the same time. Returns by how much it
    is topped up in all. Raises InvalidArguments, BusUnavailable.
    """
    known = checked_kind(kind)
    whose = _named(checked_token(tenant, "tenant"), known, who) or (tenant if known in OF_TENANT else "")
    if not whose:
        raise InvalidArguments(f"Whose {kind} budget is to be topped up is not said.", "Name them: `--for NAME`.")
    if amount.pico == 0:
        raise InvalidArguments("Nothing is not a top-up.", 'Say how many US dollars more, like "5".')
    _believable(amount)
    now = await server_now(bus, BUDGET)
    entry = TopUp(new_event_id(), str(amount), by, now)
    key = top_up_key(tenant, known, window_of(known, now), whose)
    changed = await _change(
        bus,
        key,
        TopUps,
        lambda found: _with(found or TopUps(whose), entry),
        lambda found: any(each.id == entry.id for each in found.entries),
        seconds=COUNTED_SECONDS,
    )
    return changed.total


async def standings(
    bus: Bus, settings: BudgetSettings, tenant: str, *, kinds: Collection[Kind] = KINDS
) -> list[Standing]:
    """How the budgets of `kinds` stand: all that have been used in their present window, the tenant's own in any case,
    and those for which a limit was set or topped up. Runs and conversations are many; leave them out where they do not
    matter. Raises BusUnavailable.
    """
    tenant = checked_token(tenant, "tenant")
    overrides = Overrides(settings)
    async with overrides.watching(bus):
        now = await server_now(bus, BUDGET)
        counts = await _counts(bus, tenant, kinds, now)
        named = sorted(counts.keys() | {known for known in _known(overrides, tenant, now) if known[0] in kinds})
        return [_standing(overrides, tenant, *name, counts.get(name, Count()), now) for name in named]


def _standing(overrides: Overrides, tenant: str, kind: Kind, who: str, count: Count, now: datetime) -> Standing:
    limit = overrides.limit(tenant, kind, who, now)
    window = window_of(kind, now)
    top_ups = overrides.top_ups.get(top_up_key(tenant, kind, window, who), TopUps(who))
    return Standing(
        kind,
        who,
        "" if window == NO_WINDOW else window,
        Money(count.pico),
        limit.amount if limit else None,
        resets_of(kind, now),
        top_ups.total,
        tuple(dict.fromkeys(entry.by for entry in top_ups.entries)),
    )


def _known(overrides: Overrides, tenant: str, now: datetime) -> set[tuple[Kind, str]]:
    """Those of whom there is something to say though they have spent nothing."""
    found = {(kind, tenant) for kind in OF_TENANT}
    names = {key: said.who for key, said in overrides.limits.items() if said.who}
    names |= {key: said.who for key, said in overrides.top_ups.items()}
    for key, who in names.items():
        of, kind, *window = key.split(".")[1:-1]
        if of == tenant and kind in KINDS and window in ([], [window_of(kind, now)]):
            found.add((kind, who))
    return found


async def _counts(bus: Bus, tenant: str, kinds: Collection[Kind], now: datetime) -> dict[tuple[Kind, str], Count]:
    """The last message of each counter whose window this is."""
    filters = {budget_counter(tenant, kind, window_of(kind, now), "*"): kind for kind in kinds}
    found: dict[tuple[Kind, str], Count] = {}
    if not filters:
        return found
    async for batch in follow(bus, BUDGET, filters=tuple(filters), latest=True):
        for message in batch:
            count = count_of(message)
            kind = filters[f"{message.subject.rpartition('.')[0]}.*"]
            found[kind, count.who] = count
        if not batch:
            break
    return found


def _named(tenant: str, kind: Kind, who: str | None) -> str:
    """Empty for all. A tenant has its budgets alone."""
    if who is not None and not who:
        raise InvalidArguments(
            "An empty name is nobody's.", "Leave it out for everybody; users without a name are `anonymous`."
        )
    if kind in OF_TENANT and who not in (None, tenant):
        raise InvalidArguments(f"The {kind} budget is the whole tenant's, not {who}'s.", "Leave out `--for`.")
    return "" if kind in OF_TENANT else name_of(who or "")


def _believable(amount: Money) -> None:
    if amount.pico < 0:
        raise InvalidArguments(f"{amount} US dollars is less than nothing.", 'Write plain digits, like "2.50".')
    if amount > LARGEST:
        raise InvalidArguments(f"{amount} US dollars is more than anybody spends.", f"Write {LARGEST} at most.")


def _with(found: TopUps, entry: TopUp) -> TopUps:
    changed = msgspec.structs.replace(found, entries=(*found.entries, entry))
    if changed.total > LARGEST:
        raise InvalidArguments(f"That would top it up by {changed.total} US dollars in all.", f"At most {LARGEST}.")
    return changed


async def _change(
    bus: Bus,
    key: str,
    type_: type[_Stored],
    change: Callable[[_Stored | None], _Stored],
    is_done: Callable[[_Stored], bool],
    *,
    seconds: int = 0,
) -> _Stored:
    """Put what `change` makes of the value; anew from what somebody else has put meanwhile. Raises BusUnavailable."""
    for tried in range(TRIES):
        kept = await newest(bus, BUDGETS, key)
        found = _read(kept, type_)
        if found is not None and is_done(found):
            return found
        changed = change(found)
        try:
            if await put(bus, BUDGETS, key, encode(changed), expected=kept.sequence, seconds=seconds):
                return changed
        except Interrupted:
            if not bus.client.is_connected:
                raise
        await asyncio.sleep(random.uniform(0, 0.01 * (tried + 1)))  # noqa: S311  # spreads tries, guards nothing
    raise BusUnavailable(f"{key} is changed by too many at once.", "Try again.")


def _read(kept: Kept, type_: type[_Stored]) -> _Stored | None:
    """What cannot be read is put anew."""
    try:
        return decode(kept.data, type_)
    except BadMessage:
        return None
