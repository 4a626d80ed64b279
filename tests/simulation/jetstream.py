"""JetStream as the platform uses it: one log with its fences, its replicas, and the consumers that read it.

What is modelled here is checked against a real nats-server by `test_jetstream.py`.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.simulation.counters import EXPECTED, Buckets, Counters
from tests.simulation.stored import Answer, Replicas, Reply, Stored, batch_of, direct, json, matches, timestamp
from tests.simulation.world import World
from trunkline.bus.consumers import Consumer
from trunkline.bus.provision import streams
from trunkline.contracts.subjects import BUDGET, TRUNK

API = "$JS.API."
DIRECT = f"{API}DIRECT.GET.{TRUNK}"
EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"
WRONG_SEQUENCE = {"code": 400, "err_code": 10071, "description": "wrong last sequence: {0}"}
WRONG_SEQUENCE_UNDER_WAY = {"code": 400, "err_code": 10164, "description": "wrong last sequence"}
ONE_PER_SUBJECT = {"code": 503, "err_code": 10077, "description": "maximum messages per subject exceeded"}
NOT_FOUND = {"code": 404, "err_code": 10037, "description": "no message found"}


class Log:
    """The stream. With `replicas`, an append is under way for a while, and two followers apply it later."""

    def __init__(self, world: World, stored: Callable[[Stored], None], *, replicated: bool, lag: float) -> None:
        self.messages: list[Stored] = []
        self.world = world
        self._stored = stored
        self._replicated = replicated
        self._replicas = Replicas(world, replicated=replicated, lag=lag)
        self._limited = _limited_to_one_per_subject()
        self._runs: dict[str, list[Stored]] = {}
        self._under_way: list[str] = []

    @property
    def last_sequence(self) -> int:
        return len(self.messages)

    def publish(self, subject: str, data: bytes, headers: Mapping[str, str], answer: Answer) -> None:
        refused = self._refused(subject, headers)
        if refused:
            answer([json({"error": refused, "stream": TRUNK, "seq": 0})])
        elif self._replicated:
            self._under_way.append(subject)
            self.world.after(self.world.random.uniform(0.0002, 0.004), self._commit, subject, data, headers, answer)
        else:
            self._store(subject, data, headers, answer)

    def put(self, subject: str, data: bytes) -> None:
        """Without a fence and without a reply: what was there before the world began."""
        self._store(subject, data, {}, lambda _: None)

    def last(self, pattern: str) -> Stored | None:
        """As the leader has it."""
        found = [each for each in self._near(pattern) if each.subject == pattern or matches(pattern, each.subject)]
        return found[-1] if found else None

    def under(self, patterns: Iterable[str]) -> list[Stored]:
        """As whoever answers has it: with replicas, one of three, of which two may be behind."""
        seen = self._replicas.seen(self.last_sequence)
        return [
            each
            for pattern in patterns
            for each in self._near(pattern)
            if each.sequence <= seen
            if matches(pattern, each.subject)
        ]

    def _near(self, pattern: str) -> Sequence[Stored]:
        """The run's messages, where the pattern names the run."""
        run = pattern.split(".")[3]
        return self.messages if run == "*" else self._runs.get(run, ())

    def _refused(self, subject: str, headers: Mapping[str, str]) -> dict[str, object] | None:
        if EXPECTED in headers:
            pattern = headers.get(EXPECTED_SUBJECT, subject)
            if any(matches(pattern, each) for each in self._under_way):
                return WRONG_SEQUENCE_UNDER_WAY
            found = self.last(pattern)
            sequence = found.sequence if found else 0
            if sequence != int(headers[EXPECTED]):
                return WRONG_SEQUENCE | {"description": f"wrong last sequence: {sequence}"}
        if self._limited and self.last(subject):
            return ONE_PER_SUBJECT
        return None

    def _commit(self, subject: str, data: bytes, headers: Mapping[str, str], answer: Answer) -> None:
        self._under_way.remove(subject)
        if self._limited and self.last(subject):
            answer([json({"error": ONE_PER_SUBJECT, "stream": TRUNK, "seq": 0})])
        else:
            self._store(subject, data, headers, answer)

    def _store(self, subject: str, data: bytes, headers: Mapping[str, str], answer: Answer) -> None:
        message = Stored(self.last_sequence + 1, subject, data, headers, self.world.unix)
        self.messages.append(message)
        self._runs.setdefault(subject.split(".")[3], []).append(message)
        self._replicas.stored()
        answer([json({"stream": TRUNK, "seq": message.sequence})])
        self._stored(message)


@dataclass(slots=True)
class Pending:
    """Delivered and not acknowledged. `first` is the consumer's own sequence of the first delivery."""

    delivered: int
    first: int
    deadline: float
    queued: bool = False


@dataclass
class Durable:
    """A consumer. `deliver` sends a message, with the subject of its acknowledgement, to one of those who have a pull
    request waiting; it says whether there was one.
    """

    world: World
    log: Log
    config: Consumer
    deliver: Callable[[Durable, int, str], bool]
    created_at: int = 0
    incarnation: int = 0
    sequence: int = 0
    pending: dict[int, Pending] = field(default_factory=dict)
    coming: deque[int] = field(default_factory=deque)
    again: deque[int] = field(default_factory=deque)

    @property
    def idle(self) -> bool:
        return not self.pending and not self.coming

    def takes(self, subject: str) -> bool:
        return any(matches(pattern, subject) for pattern in self.config.filters)

    def stored(self, message: Stored) -> None:
        self.coming.append(message.sequence)
        self.dispatch()

    def recreate(self) -> None:
        """Deleted and made anew: it delivers everything again, and counts from one."""
        self.created_at, self.sequence = self.log.last_sequence, 0
        self.incarnation += 1
        self.pending.clear()
        self.again.clear()
        self.coming = deque(each.sequence for each in self.log.messages if self.takes(each.subject))

    def dispatch(self) -> None:
        """Deliver what there is to whoever asks: what comes again first."""
        while self.again or self.coming:
            sequence = self.again[0] if self.again else self.coming[0]
            pending = self.pending.get(sequence)
            if self.again and pending is None:  # acknowledged while it waited
                self.again.popleft()
                continue
            count = pending.delivered + 1 if pending else 1
            if not self.deliver(self, sequence, self.reply(self.log.messages[sequence - 1], count)):
                return
            (self.again or self.coming).popleft()
            self._delivered(sequence, count)

    def acknowledge(self, reply: str, what: bytes) -> bool:
        """An acknowledgement of whatever kind; whether it settled a message that was pending.

        It counts for the message, whichever delivery it is of; only a nak must be of one that is not acknowledged.
        """
        tokens = reply.split(".")
        sequence, consumer_sequence = int(tokens[5]), int(tokens[6])
        pending = self.pending.get(sequence)
        if pending is None:
            return False
        if what.startswith((b"+ACK", b"+TERM")):
            del self.pending[sequence]
            return True
        if what == b"+WPI":
            pending.deadline = self.world.now + self.config.ack_wait
        elif what.startswith(b"-NAK") and self._floor < consumer_sequence <= self.sequence:
            seconds = orjson.loads(what[5:])["delay"] / 1e9
            self._expect(sequence, pending, seconds)
        return False

    def redeliver(self, sequence: int) -> None:
        """At once, as when AckWait were over."""
        pending = self.pending[sequence]
        if not pending.queued:
            pending.queued = True
            self.again.append(sequence)
            self.dispatch()

    @property
    def _floor(self) -> int:
        """The consumer's sequence up to which everything is acknowledged."""
        return min((pending.first for pending in self.pending.values()), default=self.sequence + 1) - 1

    def reply(self, message: Stored, count: int) -> str:
        nanoseconds = int(message.at * 1e9)
        return f"$JS.ACK.{TRUNK}.{self.config.name}.{count}.{message.sequence}.{self.sequence + 1}.{nanoseconds}.0"

    def _delivered(self, sequence: int, count: int) -> None:
        self.sequence += 1
        pending = self.pending.setdefault(sequence, Pending(0, self.sequence, 0.0))
        pending.delivered, pending.queued = count, False
        self._expect(sequence, pending, self.config.ack_wait)

    def _expect(self, sequence: int, pending: Pending, seconds: float) -> None:
        pending.deadline = self.world.now + seconds
        self.world.after(seconds, self._expire, sequence, pending)

    def _expire(self, sequence: int, pending: Pending) -> None:
        if self.pending.get(sequence) is not pending or pending.queued:
            return
        if pending.deadline > self.world.now:
            self.world.after(pending.deadline - self.world.now, self._expire, sequence, pending)
        else:
            self.redeliver(sequence)


class JetStream:
    """The server: what each subject of the API answers. `unknown` is told of what is not modelled."""

    def __init__(
        self,
        log: Log,
        counters: Counters,
        settled: Callable[[Durable, int], None],
        unknown: Callable[[str], None],
    ) -> None:
        self.log = log
        self.counters = counters
        self.durables: dict[str, Durable] = {}
        self.letters: list[bytes] = []
        self._buckets = Buckets(log.world)
        self._settled = settled
        self._unknown = unknown

    def handle(self, subject: str, data: bytes, headers: Mapping[str, str], answer: Answer) -> None:
        if subject.startswith("trunk."):
            self.log.publish(subject, data, headers, answer)
        elif subject.startswith("$JS.ACK."):
            self._acknowledge(subject, data, answer)
        elif subject.startswith("budget."):
            self.counters.publish(subject, headers, answer)
        elif subject.startswith("$KV."):
            self._buckets.put(subject, data, headers, answer)
        elif subject.startswith(API) and (replies := self._asked(subject.removeprefix(API), data)):
            answer(replies)
        elif subject.startswith("ops.dead."):
            self.letters.append(data)
            answer([json({"stream": "OPS", "seq": len(self.letters)})])
        elif not subject.startswith("live."):
            self._unknown(subject)

    def _asked(self, what: str, data: bytes) -> list[Reply]:
        """What the API says; nothing where it is not modelled."""
        if what == f"DIRECT.GET.{TRUNK}":
            return self._batch(orjson.loads(data))
        if what == f"DIRECT.GET.{BUDGET}":
            return self.counters.batch(orjson.loads(data)["multi_last"])
        if what == f"STREAM.MSG.GET.{TRUNK}":
            return [_of_leader(self.log.last(orjson.loads(data)["last_by_subj"]))]
        if what.startswith(f"DIRECT.GET.{TRUNK}."):
            under = self.log.under([what.removeprefix(f"DIRECT.GET.{TRUNK}.")])
            return [direct(under[-1] if under else None)]
        if what.startswith("DIRECT.GET.KV_"):
            return [self._buckets.get(what.split(".", 3)[3])]
        if what == f"STREAM.INFO.{TRUNK}":
            return [self._info(self.log.messages)]
        return [self._info(self.counters.messages)] if what == f"STREAM.INFO.{BUDGET}" else []

    def stored(self, message: Stored) -> None:
        for durable in self.durables.values():
            if durable.takes(message.subject):
                durable.stored(message)

    def _acknowledge(self, reply: str, what: bytes, answer: Answer) -> None:
        durable = self.durables[reply.split(".")[3]]
        if durable.acknowledge(reply, what):
            self._settled(durable, int(reply.split(".")[5]))
        answer([Reply()])

    def _info(self, messages: Sequence[Stored]) -> Reply:
        world = self.log.world
        began = timestamp(world.began)
        state = {
            "messages": len(messages),
            "bytes": sum(len(message.data) for message in messages),
            "consumer_count": len(self.durables),
            "first_seq": 1,
            "last_seq": len(messages),
            "first_ts": messages[0].time if messages else began,
            "last_ts": messages[-1].time if messages else began,
        }
        return json({"created": began, "ts": timestamp(world.unix), "config": {}, "state": state})

    def _batch(self, asked: dict[str, Any]) -> list[Reply]:
        if "multi_last" in asked:
            newest = {each.subject: each for each in self.log.under(asked["multi_last"])}
            return batch_of(sorted(newest.values(), key=lambda each: each.sequence))
        rest = [each for each in self.log.under([asked["next_by_subj"]]) if each.sequence >= asked["seq"]]
        return batch_of(rest[: asked["batch"]], max(0, len(rest) - asked["batch"]))


def _limited_to_one_per_subject() -> bool:
    """As the platform declares the log."""
    (trunk,) = (config for config in streams() if config["name"] == TRUNK)
    return bool(trunk.get("discard_new_per_subject")) and trunk.get("max_msgs_per_subject") == 1


def _of_leader(message: Stored | None) -> Reply:
    if message is None:
        return json({"error": NOT_FOUND})
    data = base64.b64encode(message.data).decode()
    place = {"subject": message.subject, "seq": message.sequence, "time": message.time}
    return json({"message": {**place, "data": data}})
