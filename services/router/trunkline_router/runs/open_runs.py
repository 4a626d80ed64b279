"""The runs that have no answer yet, as the log tells them. Pure: no I/O, no clock.

Every router has all of them, whoever routed them, and keeps them nowhere: whatever it does about a run is a fact that
is written once, so several routers may do it, and a router that begins anew reads the log again.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from trunkline.contracts.ids import TOKEN
from trunkline.contracts.messages import Cancel, Fact, Note, Request, Task
from trunkline.contracts.subjects import ROUTER, TRIED, RunKey, Subject
from trunkline_router.deadline import Limits, deadline_of
from trunkline_router.deciding.talk import Partners
from trunkline_router.runs.pace import Pace
from trunkline_router.runs.sharing import SHARING, Sharing, behind

WAITING = "waiting"
"""What the router's note says of a question that waits for an earlier one of its conversation."""

Group = TypeVar("Group")


@dataclass(slots=True, eq=False)
class OpenRun:
    """`first` is the sequence of its first message, `asked` and `placed` those of its request and its task; 0 when it
    has none. `parked`: it waits for an earlier question. Until `queue_ends` somebody must have begun with it. `cache`:
    under which key its answer may be kept. `behind`: the sequence of the request whose answer it waits, or waited, for.
    """

    key: RunKey
    first: int
    queue_ends: datetime
    deadline: datetime
    asked: int = 0
    placed: int = 0
    agent: str = ""
    parent: RunKey | None = None
    parked: bool = False
    begun: bool = False
    cache: str = ""
    behind: int = 0
    cancel: Cancel | None = None

    @property
    def waits_for_same(self) -> bool:
        """Whether it is given to nobody while another run is about to answer the same."""
        return bool(self.behind) and not self.placed

    @property
    def due(self) -> datetime:
        """When it wants to be looked at."""
        return self.deadline if self.begun else min(self.queue_ends, self.deadline)


class OpenRuns:
    """Give it the log's messages in their order; `position` is the sequence of the last one.

    `touched` are the runs about which there may be something to do, in the order in which that was found.
    """

    def __init__(self, limits: Limits) -> None:
        self.position = 0
        self.touched: OrderedDict[RunKey, None] = OrderedDict()
        self.pace = Pace()
        self.sharing = Sharing()
        self.partners = Partners()
        self._limits = limits
        self._runs: dict[RunKey, OpenRun] = {}
        self._requests: dict[int, OpenRun] = {}
        self._conversations: dict[tuple[str, str], dict[RunKey, OpenRun]] = defaultdict(dict)
        self._children: dict[RunKey, dict[RunKey, OpenRun]] = defaultdict(dict)
        self._at: Counter[str] = Counter()
        self._counted: dict[RunKey, str] = {}
        self._alarms: list[tuple[datetime, int, RunKey]] = []
        self._tickets = itertools.count()

    def __len__(self) -> int:
        return len(self._runs)

    def __contains__(self, key: RunKey) -> bool:
        return key in self._runs

    def take(self, subject: Subject, sequence: int, at: datetime, fact: Fact) -> None:
        """A message that says something of a run; a bare `Fact` is one whose body cannot be read."""
        self.position = sequence
        key = RunKey.of(subject)
        match subject.kind, fact:
            case "request", _:
                self._asked(key, sequence, at, fact, tried=subject.name == TRIED)
            case "task", _:
                self._placed(key, subject.name, sequence, at, fact)
            case "answer", _:
                self._ended(key, at)
            case "cancel", _ if key in self._runs:
                self._runs[key].cancel = fact if isinstance(fact, Cancel) else Cancel()
                self.touched[key] = None
            case "note", Note(what=what) if what == WAITING and subject.name == ROUTER and key in self._runs:
                self._runs[key].parked = not self._runs[key].placed
                self.touched[key] = None
            case "note", Note(what=what) if what == SHARING and subject.name == ROUTER and key in self._runs:
                self._shares(self._runs[key], behind(fact), at)

    def get(self, key: RunKey) -> OpenRun | None:
        return self._runs.get(key)

    def has_ended(self, key: RunKey, sequence: int) -> bool:
        """Whether the run of message `sequence` has an answer on the part of the log that was read."""
        return self.position >= sequence and key not in self._runs

    def earlier(self, run: OpenRun) -> list[OpenRun]:
        """The questions of its conversation that were asked before, and have no answer."""
        asked = self._conversations.get(_conversation(run.key), {}).values()
        return [each for each in asked if each.asked < run.asked]

    def leader(self, cache: str, *, but: RunKey) -> int:
        """The sequence of the request of another run that is about to answer what is asked under `cache`; 0: none."""
        for key, asked in self.sharing.leaders(cache).items():
            run = self._runs.get(key)
            if self.has_ended(key, asked):
                self.sharing.follow(key)
            elif key != but and not (run and run.cancel):
                return asked
        return 0

    def ahead(self, run: OpenRun) -> OpenRun | None:
        """The run that it waits for, while that one is open and waits for none itself."""
        leader = self._requests.get(run.behind)
        return leader if leader and not leader.waits_for_same else None

    def children(self, key: RunKey) -> list[OpenRun]:
        """The runs that it delegated to and that have not ended."""
        return list(self._children.get(key, {}).values())

    def at(self, agent: str) -> int:
        """How many runs an agent has."""
        return self._at[agent]

    def at_all(self) -> int:
        """How many runs all agents have together."""
        return len(self._counted)

    def count(self, key: RunKey, agent: str) -> None:
        """The run is this agent's, or about to be: its task need not stand on the log yet."""
        self._discount(key)
        self._counted[key] = agent
        self._at[agent] += 1

    def take_back(self, key: RunKey) -> None:
        """Its task was not written after all; unless the log shows it."""
        run = self._runs.get(key)
        if run is None or not run.placed:
            self._discount(key)
            self.sharing.follow(key)

    def alarm(self) -> datetime | None:
        """When the next run wants to be looked at."""
        return self._alarms[0][0] if self._alarms else None

    def touch_due(self, now: datetime) -> None:
        while self._alarms and self._alarms[0][0] <= now:
            _, _, key = heapq.heappop(self._alarms)
            run = self._runs.get(key)
            if run and run.due <= now:
                self.touched[key] = None
            elif run:
                self._set_alarm(run)

    def has_begun(self, run: OpenRun) -> None:
        """Somebody is at it: from now on only its deadline counts."""
        run.begun = True
        self._set_alarm(run)

    def oldest(self) -> int:
        """The sequence behind which a router that begins anew must read: whatever began before has ended."""
        oldest = next(iter(self._runs.values()), None)
        return oldest.first - 1 if oldest else self.position

    def forget(self, key: RunKey) -> None:
        """It has ended, or nothing can be done about it."""
        self._discount(key)
        self.touched.pop(key, None)
        run = self._runs.pop(key, None)
        if run is None:
            self.sharing.follow(key)
            return
        self.touched.update(dict.fromkeys(self.sharing.waiting(run.asked)))
        self.sharing.forget(key, asked=run.asked, behind=run.behind)
        self._requests.pop(run.asked, None)
        _discard(self._conversations, _conversation(key), key)
        if run.parent:
            _discard(self._children, run.parent, key)
        if len(self._alarms) > 2 * len(self._runs) + 1000:
            self._alarms = [alarm for alarm in self._alarms if alarm[2] in self._runs]
            heapq.heapify(self._alarms)

    def _asked(self, key: RunKey, sequence: int, at: datetime, fact: Fact, *, tried: bool) -> None:
        """When it is `tried`, the router itself is at it; no agent gets it, and no other question waits for it."""
        deadline = deadline_of(fact, at, self._limits) if isinstance(fact, Request) else None
        run = self._run(key, sequence, at, deadline if isinstance(deadline, datetime) else None)
        run.asked = run.asked or sequence
        self._requests[run.asked] = run
        if tried:
            self.has_begun(run)
        else:
            self._conversations[_conversation(key)][key] = run

    def _placed(self, key: RunKey, agent: str, sequence: int, at: datetime, fact: Fact) -> None:
        task = fact if isinstance(fact, Task) else Task()
        run = self._run(key, sequence, at, task.deadline)
        if run.placed:
            return
        run.agent, run.placed, run.parked = agent, sequence, False
        if run.asked:
            run.cache = task.cache
            self.sharing.lead(task.cache, key, run.asked)
        if run.behind:  # nobody could begin with it before
            run.begun, run.queue_ends = False, self._limits.queue_ends(at)
            self._set_alarm(run)
        self.partners.placed(key, agent, task)
        self.count(key, agent)
        if task.parent and TOKEN.fullmatch(task.parent.run):
            run.parent = RunKey(key.tenant, key.conversation, task.parent.run)
            self._children[run.parent][key] = run
        if not run.asked and run.parent not in self._runs:
            self.touched[key] = None

    def _shares(self, run: OpenRun, sequence: int, at: datetime) -> None:
        """It may wait for half of its time: the other run may be waiting for a person. Who waits for this one need not
        any more.
        """
        if run.placed or not sequence:
            return
        run.behind, run.queue_ends = sequence, at + (run.deadline - at) / 2
        self._set_alarm(run)
        self.sharing.wait(run.key, sequence)
        self.touched[run.key] = None
        self.touched.update(dict.fromkeys(self.sharing.waiting(run.asked)))

    def _run(self, key: RunKey, sequence: int, at: datetime, deadline: datetime | None) -> OpenRun:
        run = self._runs.get(key)
        if run is None:
            ends = deadline if deadline and deadline.tzinfo else self._limits.default(at)
            run = self._runs[key] = OpenRun(key, sequence, self._limits.queue_ends(at), ends)
            self._set_alarm(run)
        return run

    def _ended(self, key: RunKey, at: datetime) -> None:
        """One that was told to stop stays while its parent is open: until the keeper has told that and forgets it."""
        if agent := self._counted.get(key):
            self.pace.answered(agent, at)
        run = self._runs.get(key)
        if run and run.cancel and run.parent in self._runs:
            self._discount(key)
        else:
            self.forget(key)
        self.touched.update(dict.fromkeys(self._children.get(key, {})))
        if others := self._conversations.get(_conversation(key)):
            self.touched[next(iter(others))] = None

    def _discount(self, key: RunKey) -> None:
        agent = self._counted.pop(key, None)
        if agent is not None:
            self._at[agent] -= 1
            if not self._at[agent]:
                del self._at[agent]

    def _set_alarm(self, run: OpenRun) -> None:
        heapq.heappush(self._alarms, (run.due, next(self._tickets), run.key))


def _conversation(key: RunKey) -> tuple[str, str]:
    return key.tenant, key.conversation


def _discard(index: dict[Group, dict[RunKey, OpenRun]], group: Group, key: RunKey) -> None:
    members = index.get(group, {})
    members.pop(key, None)
    if not members:
        index.pop(group, None)
