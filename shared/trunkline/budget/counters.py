"""The counters of the budgets: one stream has them all, and remembers each amount with what it was for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, unquote

from trunkline.bus import counting
from trunkline.bus.stored import StoredMessage
from trunkline.contracts.errors import BadMessage, BusUnavailable
from trunkline.contracts.subjects import BUDGET

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

What = Literal["reserve", "settle", "release", "refund"]

CALL = "Trunkline-Call"
WHAT = "Trunkline-What"
WHO = "Trunkline-Who"
HOLD = "Trunkline-Hold"


@dataclass(frozen=True, slots=True)
class Count:
    """What a counter stands at, in picodollars, and the sequence of the message that took it there; 0 for none."""

    pico: int = 0
    sequence: int = 0
    who: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One amount that was added to a counter: `pico` may be negative. `hold` ties it to those that are settled with
    it; `call` is the subject of the prompt for whose sake it was.
    """

    counter: str
    sequence: int
    pico: int
    what: str
    call: str
    who: str
    hold: str

    @classmethod
    def read(cls, message: StoredMessage) -> Entry:
        """Raises BadMessage."""
        headers = message.headers or {}
        if missing := {WHAT, CALL, HOLD} - headers.keys():
            raise BadMessage(f"message {message.sequence} of {message.subject} has no {', '.join(sorted(missing))}.")
        return cls(
            message.subject,
            message.sequence,
            counting.added_by(message),
            headers[WHAT],
            headers[CALL],
            unquote(headers.get(WHO, "")),
            headers[HOLD],
        )


async def add(bus: Bus, counter: str, pico: int, *, what: What, call: str, who: str, hold: str) -> int | None:
    """The counter's total with that; None when the hold had been closed there already, by whomever, and nothing is
    added: what closes one is known again for a while, so it may be repeated. A `reserve` must not be.

    Raises BusUnavailable; its kind Interrupted when nobody knows whether it was added. Nothing that closes a hold waits
    here for a connection: it might be heard of when nobody knows it again.
    """
    if what != "reserve" and not bus.client.is_connected:
        raise BusUnavailable("There is no connection to the bus.", "What is held back is left to the refunds.")
    headers = {CALL: call, WHAT: what, WHO: quote(who, errors="replace"), HOLD: hold}
    kind = counter.split(".")[2]
    return await counting.add(bus, counter, pico, headers, once="" if what == "reserve" else f"{hold}-{kind}")


async def look(bus: Bus, counters: Iterable[str]) -> dict[str, Count]:
    """What each of them stands at, without adding to any. Raises BusUnavailable."""
    found = dict.fromkeys(counters, Count())
    return found | {entry.subject: count_of(entry) for entry in await counting.last_entries(bus, BUDGET, found)}


def count_of(message: StoredMessage) -> Count:
    """What the counter stood at when this was its last message. Raises BadMessage."""
    return Count(counting.total_of(message), message.sequence, unquote((message.headers or {}).get(WHO, "")))
