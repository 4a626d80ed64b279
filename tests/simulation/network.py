"""What lies between a process and the server: every message takes its time, and some never come."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from nats.aio.msg import Msg

from tests.simulation.jetstream import JetStream
from tests.simulation.stored import Reply, Stored
from tests.simulation.world import Process, World
from trunkline.bus.stored import StoredMessage

Headers = Mapping[str, str]


class Client:
    """A process's connection, as far as the platform uses what nats-py offers."""

    is_connected = True
    last_error = None
    _server_info: ClassVar[dict[str, str]] = {}

    def __init__(self, process: Process, network: Network) -> None:
        self.process = process
        self._network = network
        self._inboxes = itertools.count()
        self._mailbox: Any = None  # what nats-py calls a future, and hands each message to
        self._prefix = f"_INBOX.{process.name}-"

    def new_inbox(self) -> str:
        return f"{self._prefix}{next(self._inboxes)}"

    async def subscribe(self, subject: str, *, future: Any = None, cb: Any = None, **_: object) -> Subscription:
        if future is not None:
            self._mailbox = future
        else:
            self._network.subscribers[subject] = (self, cb)
        return Subscription()

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: Headers | None = None
    ) -> None:
        if self.process.alive:  # what was abandoned is swept up at some time, and then says its last words
            self._network.send(self, subject, payload, reply, headers or {})

    async def counted(self, after: int) -> AsyncIterator[list[StoredMessage]]:
        """What is added to the counters, in this order, behind a sequence."""
        while True:
            arrived: asyncio.Future[list[Stored]] = self.process.create_future()
            self._network.follow(self.process, after, arrived)
            messages = await arrived
            yield [_stored(each) for each in messages]
            after = messages[-1].sequence

    def receive(self, inbox: str, replies: list[Reply]) -> None:
        for reply in replies:
            self._mailbox.set_result(_message(inbox, "", reply.data, reply.headers))

    def call(self, callback: Any, subject: str, reply: str, data: bytes) -> None:
        self.process.create_task(callback(_message(subject, reply, data, None)))


class Subscription:
    async def unsubscribe(self) -> None: ...


class Network:
    """`loss` is the chance of each message to be lost, `delay` the one to take seconds."""

    def __init__(self, world: World, server: JetStream, *, loss: float, delay: float) -> None:
        self.world = world
        self.loss = loss
        self.delay = delay
        self.subscribers: dict[str, tuple[Client, Any]] = {}
        self._server = server
        self._followers: list[tuple[Process, int, asyncio.Future[list[Stored]]]] = []

    def follow(self, process: Process, after: int, arrived: asyncio.Future[list[Stored]]) -> None:
        """Tell of the next amounts that are added to the counters; what gets lost comes later."""
        self._followers.append((process, after, arrived))
        self.counted()

    def counted(self) -> None:
        """There is more in the counters."""
        followers, self._followers = self._followers, []
        for process, after, arrived in followers:
            messages = self._server.counters.messages[after:]
            if messages:
                late = 3.0 if self._lost(f"amounts are not told to {process.name}") else 0.0
                self.world.after(late + self._latency(), process.hear, arrived.set_result, messages)
            elif process.alive or process.frozen:
                self._followers.append((process, after, arrived))

    def send(self, client: Client, subject: str, data: bytes, reply: str, headers: Headers) -> None:
        if self.world.told:
            self.world.say(f"{client.process.name:>6} -> {subject} {data[:160].decode(errors='replace')}")
        if not self._lost("it never arrives"):
            self.world.after(self._latency(), self._arrive, client, subject, data, reply, headers)

    def deliver(self, process: Process, take: Callable[[Msg], object], message: Stored, reply: str) -> bool:
        """A message of the log that a consumer sends to a process; whether it will arrive."""
        if self.world.told:
            self.world.say(f"{process.name:>6} <- {message.subject} {reply}")
        if self._lost("the delivery never arrives"):
            return False
        delivered = _message(message.subject, reply, message.data, dict(message.headers))
        self.world.after(self._latency(), process.hear, take, delivered)
        return True

    def _arrive(self, client: Client, subject: str, data: bytes, reply: str, headers: Headers) -> None:
        if client.process.muted:
            return

        def answer(replies: list[Reply]) -> None:
            if reply and not self._lost(f"the answer to {client.process.name} never arrives"):
                self.world.after(self._latency(), client.process.hear, client.receive, reply, replies)

        if subject.startswith("_INBOX."):
            self._to_client(subject, data)
        elif subject.startswith("handover."):
            self._to_subscriber(subject, data, reply, answer)
        else:
            self._server.handle(subject, data, headers, answer)

    def _to_subscriber(self, subject: str, data: bytes, reply: str, answer: Callable[[list[Reply]], None]) -> None:
        other, callback = self.subscribers.get(subject, (None, None))
        if other is None or not other.process.alive:
            answer([Reply(headers={"Status": "503"})])
        else:
            self.world.after(self._latency(), other.process.hear, other.call, callback, subject, reply, data)

    def _to_client(self, inbox: str, data: bytes) -> None:
        """A reply from one process to another."""
        for client, _ in self.subscribers.values():
            if inbox.startswith(client._prefix):
                self.world.after(self._latency(), client.process.hear, client.receive, inbox, [Reply(data)])
                return

    def _lost(self, what: str) -> bool:
        lost = self.world.chance(self.loss)
        if lost:
            self.world.say(f"          {what}")
        return lost

    def _latency(self) -> float:
        if self.world.chance(self.delay):
            return self.world.random.uniform(0.5, 15.0)
        return 0.0002 + self.world.random.random() ** 3 * 0.005


def _stored(message: Stored) -> StoredMessage:
    at = datetime.fromtimestamp(message.at, UTC)
    return StoredMessage(message.subject, message.sequence, at, message.data, message.headers)


def _message(subject: str, reply: str, data: bytes, headers: dict[str, str] | None) -> Msg:
    return Msg(None, subject, reply, data, headers)  # type: ignore[arg-type]  # nobody asks a message for its client
