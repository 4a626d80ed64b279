"""The stream of counters, to which the server adds, and the buckets, as the budgets use them.

What is modelled here is checked against a real nats-server by `test_jetstream.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import orjson

from tests.simulation.stored import Answer, Replicas, Reply, Stored, batch_of, direct, json
from tests.simulation.world import World
from trunkline.bus.provision import streams
from trunkline.contracts.subjects import BUDGET

INCREMENT = "Nats-Incr"
MESSAGE_ID = "Nats-Msg-Id"
EXPECTED = "Nats-Expected-Last-Subject-Sequence"
IN_PROCESS = {"code": 409, "err_code": 10158, "description": "duplicate message id is in process"}
NO_INCREMENT = {"code": 400, "err_code": 10169, "description": "message counter increment is missing"}


class Counters:
    """The stream. Each message is `stored` with the total that its amount led to. With replicas, an amount is under way
    for a while; all of them are added in the order in which they came.
    """

    def __init__(self, world: World, stored: Callable[[Stored], None], *, replicated: bool, lag: float) -> None:
        self.messages: list[Stored] = []
        self._world = world
        self._stored = stored
        self._replicas = Replicas(world, replicated=replicated, lag=lag)
        self._replicated = replicated
        self._window = _duplicate_window()
        self._totals: Counter[str] = Counter()
        self._last: dict[str, list[Stored]] = {}
        self._known: dict[str, Stored] = {}
        self._under_way: set[str] = set()
        self._free_at = 0.0

    def publish(self, subject: str, headers: Mapping[str, str], answer: Answer) -> None:
        name = headers.get(MESSAGE_ID, "")
        if INCREMENT not in headers:
            answer([_refused(NO_INCREMENT)])
        elif (known := self._known.get(name)) and known.at + self._window > self._world.unix:
            answer([json({"stream": BUDGET, "seq": known.sequence, "duplicate": True})])
        elif name in self._under_way:
            answer([_refused(IN_PROCESS)])
        elif self._replicated:
            self._under_way |= {name} if name else set()
            self._free_at = max(self._free_at, self._world.now + self._world.random.uniform(0.0002, 0.004))
            self._world.after(self._free_at - self._world.now, self._add, subject, headers, answer)
        else:
            self._add(subject, headers, answer)

    def batch(self, subjects: Sequence[str]) -> list[Reply]:
        """The last message of each, as whoever answers has it."""
        seen = self._replicas.seen(len(self.messages))
        there = ([each for each in self._last.get(subject, ()) if each.sequence <= seen] for subject in subjects)
        return batch_of(sorted((each[-1] for each in there if each), key=lambda last: last.sequence))

    def _add(self, subject: str, headers: Mapping[str, str], answer: Answer) -> None:
        self._totals[subject] += int(headers[INCREMENT])
        data = orjson.dumps({"val": str(self._totals[subject])})
        message = Stored(len(self.messages) + 1, subject, data, headers, self._world.unix)
        self.messages.append(message)
        self._last.setdefault(subject, []).append(message)
        if name := headers.get(MESSAGE_ID):
            self._known[name] = message
            self._under_way.discard(name)
        self._replicas.stored()
        answer([json({"stream": BUDGET, "seq": message.sequence, "val": str(self._totals[subject])})])
        self._stored(message)


class Buckets:
    """What stands under the keys of all buckets, which count their messages together."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._messages = 0
        self._newest: dict[str, Stored] = {}

    def put(self, subject: str, data: bytes, headers: Mapping[str, str], answer: Answer) -> None:
        there = self._newest.get(subject)
        sequence = there.sequence if there else 0
        if int(headers.get(EXPECTED, sequence)) != sequence:
            wrong = {"code": 400, "err_code": 10071, "description": f"wrong last sequence: {sequence}"}
            answer([json({"error": wrong, "seq": 0})])
            return
        self._messages += 1
        self._newest[subject] = Stored(self._messages, subject, data, headers, self._world.unix)
        answer([json({"seq": self._messages})])

    def get(self, subject: str) -> Reply:
        return direct(self._newest.get(subject))


def _refused(error: dict[str, object]) -> Reply:
    return json({"error": error, "stream": BUDGET, "seq": 0})


def _duplicate_window() -> float:
    """Seconds, as the platform declares the stream."""
    (budget,) = (config for config in streams() if config["name"] == BUDGET)
    return float(budget["duplicate_window"]) / 1e9
