"""The model of the bus is right: the same is done to it and to a real nats-server, and both say the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from nats.aio.msg import Msg

from tests.conftest import wait_until
from tests.simulation.counters import Counters
from tests.simulation.jetstream import DIRECT, Durable, JetStream, Log
from tests.simulation.stored import Reply, Stored
from tests.simulation.world import World
from trunkline.bus import Bus
from trunkline.bus.consumers import Consumer, ensure_consumer
from trunkline.contracts.subjects import BUDGET, TRUNK, budget_counter

ACK_WAIT = 1.0
NOTES = Consumer(TRUNK, "w", ("trunk.*.*.*.note.w.*",), ack_wait=ACK_WAIT)
RUN = "trunk.main.c.r"
BATCHES = (DIRECT, f"$JS.API.DIRECT.GET.{BUDGET}")
FENCE = {"Nats-Expected-Last-Subject-Sequence": "0"}


def fence(subject: str) -> dict[str, str]:
    return FENCE | {"Nats-Expected-Last-Subject-Sequence-Subject": subject}


@dataclass
class Real:
    """A nats-server. A delivery is its acknowledgement's subject up to the consumer's sequence."""

    bus: Bus
    delivered: list[str] = field(default_factory=list)
    inbox: str = ""

    async def open(self) -> None:
        self.inbox = self.bus.client.new_inbox()
        await self.bus.client.subscribe(self.inbox, cb=self._take)
        await ensure_consumer(self.bus, NOTES)

    async def request(self, subject: str, data: bytes = b"{}", headers: dict[str, str] | None = None) -> list[Reply]:
        if subject in BATCHES:
            replies, end = await self.bus.mailbox.collect(subject, data)
            return [Reply(each.data, each.headers) for each in (*replies, end)]
        reply = await self.bus.mailbox.request(subject, data, headers=headers)
        return [Reply(reply.data, reply.headers)]

    async def pull(self) -> str:
        """One delivery, when it comes."""
        known = len(self.delivered)
        body = orjson.dumps({"batch": 1, "expires": int(20e9)})
        await self.bus.client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{TRUNK}.w", body, reply=self.inbox)
        await wait_until(lambda: len(self.delivered) > known, "a delivery")
        return self.delivered[-1]

    async def pending(self) -> int:
        info = await self.bus.api(f"CONSUMER.INFO.{TRUNK}.w")
        count: int = info["num_ack_pending"]
        return count

    async def recreate(self) -> None:
        await self.bus.api(f"CONSUMER.DELETE.{TRUNK}.w")
        await ensure_consumer(self.bus, NOTES)

    async def _take(self, message: Msg) -> None:
        if message.reply:
            self.delivered.append(message.reply)


@dataclass
class Modelled:
    """The same, in virtual time."""

    world: World = field(default_factory=lambda: World(0))
    delivered: list[str] = field(default_factory=list)
    asked: int = 0

    async def open(self) -> None:
        log = Log(self.world, self._stored, replicated=False, lag=0)
        counters = Counters(self.world, lambda message: None, replicated=False, lag=0)
        self.server = JetStream(log, counters, lambda durable, sequence: None, pytest.fail)
        self.durable = self.server.durables["w"] = Durable(self.world, log, NOTES, self._deliver)

    async def request(self, subject: str, data: bytes = b"{}", headers: dict[str, str] | None = None) -> list[Reply]:
        said: list[Reply] = []
        self.server.handle(subject, data, headers or {}, said.extend)
        return said

    async def pull(self) -> str:
        known = len(self.delivered)
        self.asked += 1
        self.durable.dispatch()
        while len(self.delivered) == known:
            assert self.world.step(), "a delivery"
        return self.delivered[-1]

    async def pending(self) -> int:
        return len(self.durable.pending)

    async def recreate(self) -> None:
        self.durable.recreate()

    def _stored(self, message: Stored) -> None:
        self.server.stored(message)

    def _deliver(self, _: Durable, sequence: int, reply: str) -> bool:
        if not self.asked:
            return False
        self.asked -= 1
        self.delivered.append(reply)
        return True


Server = Real | Modelled


async def the_log(server: Server) -> list[object]:
    """Fences, and every way of reading."""
    said: list[object] = []

    async def say(subject: str, data: bytes = b"{}", headers: dict[str, str] | None = None) -> None:
        said.extend(_comparable(reply) for reply in await server.request(subject, data, headers))

    await say(f"{RUN}.task.a.0", b'{"n":1}', FENCE)
    await say(f"{RUN}.task.a.0", b'{"n":2}', FENCE)
    await say(f"{RUN}.task.a.0", b'{"n":3}')
    await say(f"{RUN}.task.b.0", b'{"n":4}', fence(f"{RUN}.task.*.0"))
    await say(f"{RUN}.task.b.1", b'{"n":5}', fence(f"{RUN}.task.*.1"))
    await say(f"{RUN}.call.b.1", b'{"n":6}')
    for filters in ([f"{RUN}.>"], [f"{RUN}.task.>", f"{RUN}.task.b.*"], ["trunk.main.c.*.call.>"], ["trunk.main.x.>"]):
        await say(DIRECT, orjson.dumps({"multi_last": filters}))
    for batch in (1, 9):
        await say(DIRECT, orjson.dumps({"next_by_subj": f"{RUN}.>", "seq": 2, "batch": batch}))
    for subject in (f"{RUN}.task.a.0", f"{RUN}.task.z.0"):
        await say(f"{DIRECT}.{subject}", b"")
        await say(f"$JS.API.STREAM.MSG.GET.{TRUNK}", orjson.dumps({"last_by_subj": subject}))
    await say(f"$JS.API.STREAM.MSG.GET.{TRUNK}", orjson.dumps({"last_by_subj": f"{RUN}.task.*.1"}))
    return said


async def the_consumer(server: Server) -> list[object]:
    """Redelivery, and what each kind of acknowledgement does, also one of an older delivery."""
    said: list[object] = []

    async def pull() -> str:
        reply = await server.pull()
        said.append(_place(reply))
        return reply

    async def settle(reply: str, what: bytes) -> None:
        await server.request(reply, what)
        said.append(await server.pending())

    for number in range(4):
        await server.request(f"{RUN}.note.w.{number}")
    first, second = await pull(), await pull()
    await settle(first, b"-NAK " + orjson.dumps({"delay": int(0.2e9)}))
    again = await pull()
    await settle(first, b"-NAK " + orjson.dumps({"delay": int(0.2e9)}))
    await pull()
    await settle(first, b"+ACK")
    await settle(again, b"+ACK")
    later = await pull()
    await settle(second, b"+WPI")
    await settle(second, b"+TERM parked")
    await settle(first, b"-NAK " + orjson.dumps({"delay": 0}))
    expired = await pull()
    await settle(later, b"+ACK")
    await settle(expired, b"+ACK")
    await server.recreate()
    anew = [await pull() for _ in range(4)]
    await settle(expired, b"+ACK")
    await settle(anew[0], b"+ACK")
    await settle(later, b"+ACK")
    return said


async def the_counters(server: Server) -> list[object]:
    """Adding, adding again what is known, and what each message says; and a bucket, whose values have fences."""
    said: list[object] = []
    ours, theirs, nobodys = (budget_counter("main", "run", "-", who) for who in ("a", "b", "c"))

    async def say(subject: str, data: bytes = b"", headers: dict[str, str] | None = None) -> None:
        said.extend(_comparable(reply) for reply in await server.request(subject, data, headers))

    for counter, amount, name in (
        (ours, "+5", ""),
        (theirs, "+7", ""),
        (ours, "-2", "settled"),
        (ours, "-2", "settled"),
        (theirs, "-2", "settled"),
        (ours, "-10", "settled too"),
        (ours, "+0", ""),
    ):
        once = {"Nats-Msg-Id": name} if name else {}
        await say(counter, headers={"Nats-Incr": amount, "Trunkline-Hold": "h", **once})
    await say(ours)
    for counters in ([ours, theirs, nobodys], [nobodys]):
        await say(f"$JS.API.DIRECT.GET.{BUDGET}", orjson.dumps({"multi_last": counters}))
    await say(f"$JS.API.STREAM.INFO.{BUDGET}")
    for data, expected in ((b"1", "0"), (b"2", "0"), (b"3", "1"), (b"4", "")):
        headers = {"Nats-Expected-Last-Subject-Sequence": expected} if expected else None
        await say("$KV.marks.m", data, headers)
        await say("$JS.API.DIRECT.GET.KV_marks.$KV.marks.m")
    await say("$JS.API.DIRECT.GET.KV_marks.$KV.marks.n")
    return said


@pytest.mark.parametrize("doing", [the_log, the_consumer, the_counters])
async def test_the_model_does_what_the_server_does(bus: Bus, doing: Callable[[Server], Awaitable[list[Any]]]) -> None:
    told = []
    for server in (Real(bus), Modelled()):
        await server.open()
        told.append(await doing(server))
    real, modelled = told
    for said, expected in zip(modelled, real, strict=True):
        assert said == expected


def _place(reply: str) -> str:
    """Without the time, and how many wait behind it."""
    return ".".join(reply.split(".")[:7])


def _comparable(reply: Reply) -> object:
    """What the platform looks at."""
    headers = {
        str(name.value if hasattr(name, "value") else name): value for name, value in (reply.headers or {}).items()
    }
    looked_at = ("Status", "Nats-Subject", "Nats-Sequence", "Nats-Num-Pending", "Nats-Incr", "Trunkline-Hold")
    seen = {name: headers[name] for name in looked_at if name in headers}
    if "Nats-Sequence" in seen:
        seen.pop("Nats-Num-Pending", None)
        return seen, reply.data
    body = orjson.loads(reply.data or b"{}")
    message = body.get("message", {})
    told = [body.get(name) for name in ("seq", "val", "duplicate", "error")]
    state = body.get("state", {}).get("last_seq")
    return seen, told, state, {name: message.get(name) for name in ("subject", "seq", "data")}
