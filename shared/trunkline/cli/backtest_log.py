"""What the router decided, as the log tells it: each question with its context, who got it, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation

from trunkline.bus import Bus, StoredMessage, read_event
from trunkline.bus.streams import sequence_before, stream_info
from trunkline.cli.following import following
from trunkline.contracts.codec import Event
from trunkline.contracts.errors import WireViolation
from trunkline.contracts.messages import Answer, Feedback, Request, Task
from trunkline.contracts.subjects import CLIENT, ROUTER, TRUNK, filter_of


@dataclass(slots=True)
class Past:
    """A question that was given to an agent. `partner`: who its conversation was with before; `cost` in US dollars,
    None when it is not known; `verdicts` are each user's last word.
    """

    run: str
    question: str
    asked_for: str = ""
    partner: str = ""
    agent: str = ""
    tier: str = ""
    source: str = ""
    cost: Decimal | None = None
    verdicts: dict[str, Feedback] = field(default_factory=dict)

    @property
    def corrected(self) -> str:
        """Who should have answered, as the newest correction says."""
        return next((said.agent for said in reversed(self.verdicts.values()) if said.agent), "")

    @property
    def verdict(self) -> int:
        """The sum of the users' verdicts, as -1, 0 or 1."""
        total = sum(said.verdict for said in self.verdicts.values())
        return (total > 0) - (total < 0)


class Pasts:
    """Give it the log's events in their order."""

    def __init__(self) -> None:
        self._runs: dict[str, Past] = {}
        self._partners: dict[tuple[str, str], str] = {}
        self._first: set[str] = set()

    def take(self, event: Event) -> None:
        subject = event.subject
        past = self._runs.get(subject.run)
        match event.fact:
            case Request(text=said, agent=agent, first=first):
                self._runs.setdefault(subject.run, Past(subject.run, said, agent))
                self._first |= {subject.run} if first else set()
            case Task(parent=None) as task if past and not past.agent:
                conversation = subject.tenant, subject.conversation
                past.partner = "" if subject.run in self._first else self._partners.get(conversation, "")
                past.agent, past.tier, past.source = subject.name, task.tier, task.route.source
                self._partners[conversation] = task.parts[-1].agent if task.parts else subject.name
            case Answer(cost=cost, source="") if past:
                past.cost = _amount(cost)
            case Feedback() as said if past:
                past.verdicts.pop(said.by, None)
                past.verdicts[said.by] = said

    @property
    def decided(self) -> list[Past]:
        """Those that the router gave to an agent, oldest first."""
        return [past for past in self._runs.values() if past.agent]


async def read_pasts(bus: Bus, since: datetime, tenant: str, step: Callable[[int], None]) -> Pasts:
    """Since then. `step` is told how many messages of the log are behind. Raises BusUnavailable."""
    pasts, begin = Pasts(), await sequence_before(bus, TRUNK, since)
    kinds = [
        filter_of(tenant=tenant, kind="request", name=ROUTER),
        filter_of(tenant=tenant, kind="task"),
        filter_of(tenant=tenant, kind="answer", name=CLIENT),
        filter_of(tenant=tenant, kind="feedback"),
    ]
    async with following(bus, TRUNK, after=begin, filters=kinds) as batches:
        async for batch in batches:
            if not batch:
                break
            for event in await _events(bus, batch):
                pasts.take(event)
            step(batch[-1].sequence - begin)
    return pasts


async def length_since(bus: Bus, since: datetime) -> int:
    """Messages on the log since then. Raises BusUnavailable."""
    return (await stream_info(bus, TRUNK)).last_sequence - await sequence_before(bus, TRUNK, since)


async def _events(bus: Bus, batch: Sequence[StoredMessage]) -> list[Event]:
    """Without those that cannot be read."""
    found = []
    for message in batch:
        try:
            found.append(await read_event(bus, message))
        except WireViolation:
            continue
    return found


def _amount(cost: str) -> Decimal | None:
    try:
        return Decimal(cost) if cost else None
    except InvalidOperation:
        return None
