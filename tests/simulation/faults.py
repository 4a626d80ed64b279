"""What goes wrong: each fault happens to somebody who is there, rather to one that is at work."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.hosts import Host
from tests.simulation.jetstream import Durable, JetStream
from tests.simulation.laws import Laws
from tests.simulation.network import Network
from tests.simulation.scenario import FaultKind
from tests.simulation.world import Process, World
from trunkline.contracts.codec import encode
from trunkline.contracts.messages import Cancel
from trunkline.contracts.subjects import RunKey

FOR_LONG = 160.0
"""Seconds: what was held back may be given back by then."""


class Faults:
    """`hosts` are by name; `restart` replaces one that crashed."""

    def __init__(
        self,
        world: World,
        network: Network,
        server: JetStream,
        laws: Laws,
        hosts: dict[str, Host],
        restart: Callable[[str], None],
    ) -> None:
        self.crashes = 0
        self._world = world
        self._network = network
        self._server = server
        self._laws = laws
        self._hosts = hosts
        self._restart = restart
        self._happen: dict[FaultKind, Callable[[], None]] = {
            "crash": self._crash,
            "freeze": self._freeze,
            "cut": self._cut,
            "duplicate": self._duplicate,
            "again": self._again,
            "anew": self._anew,
            "cancel": self._cancel,
        }

    def happen(self, kind: FaultKind) -> None:
        self._world.say(f"          --- {kind}")
        self._happen[kind]()

    def _crash(self) -> None:
        host = self._victim()
        if host is None:
            return
        self._world.say(f"          {host.process.name} crashes")
        self.crashes += 1
        host.process.crash(muted=self._world.chance(0.4))
        host.reachable = self._world.chance(0.2)
        self._world.after(self._world.random.choice((0.5, 5.0, 20.0)), self._restart, host.process.name)

    def _freeze(self) -> None:
        host = self._victim()
        if host is not None:
            self._world.say(f"          {host.process.name} freezes")
            host.process.freeze()
            for_long = (FOR_LONG,) if self._laws.spending.limits else ()
            self._world.after(self._world.random.choice((3.0, 10.5, 12.0, 25.0, *for_long)), self._wake, host.process)

    def _wake(self, process: Process) -> None:
        self._world.say(f"          {process.name} wakes")
        process.wake(timers_first=self._world.chance(0.5))

    def _cut(self) -> None:
        """A process loses its connection, and has a new one."""
        host = self._victim()
        if host is not None:
            host.process.hear(host.bus.mailbox.interrupt)

    def _duplicate(self) -> None:
        """The same delivery comes to somebody else too, as from a server that has forgotten it."""
        found = self._some_pending()
        if found:
            durable, sequence = found
            message = durable.log.messages[sequence - 1]
            self.send(durable, message.sequence, durable.reply(message, durable.pending[sequence].delivered))

    def _again(self) -> None:
        """A redelivery before its time."""
        found = self._some_pending()
        if found:
            found[0].redeliver(found[1])

    def _anew(self) -> None:
        """A consumer is made anew. A loop that has no pull waiting does not hear of it."""
        durable = self._world.random.choice(list(self._server.durables.values()))
        durable.recreate()
        for host in self._hosts.values():
            loop = host.loops.get(durable.config.name)
            if loop is not None and not self._world.chance(0.2):
                loop._created_at = durable.created_at

    def _cancel(self) -> None:
        """Somebody stops a run; whoever works on it may hear it at once."""
        runs = [(run, book) for run, book in self._laws.books.items() if book.answer is None and not book.parent]
        if not runs:
            return
        run, book = self._world.random.choice(runs)
        message = self._server.log.messages[book.task - 1]
        key = RunKey.checked(run, message.subject.split(".")[2])
        self._server.log.put(str(key.cancel), encode(Cancel(id=f"x-{run}", reason="enough")))
        for host in self._hosts.values():
            if self._world.chance(0.7):
                host.process.hear(self._hears, host, run)

    def _hears(self, host: Host, run: str) -> None:
        for stop in host.cancels._waiting.get(run, ()):
            stop.set()

    def send(self, durable: Durable, sequence: int, reply: str) -> bool:
        """Deliver to one of those that have asked; whether anybody has."""
        hosts = [host for host in self._hosts.values() if host.open_to(durable)]
        if not hosts:
            return False
        host = hosts[int(self._world.random.random() * len(hosts))]
        message = durable.log.messages[sequence - 1]
        if self._network.deliver(host.process, lambda delivered: host.take(durable, delivered), message, reply):
            host.expect(durable)
        return True

    def _victim(self) -> Host | None:
        living = [host for host in self._hosts.values() if host.process.alive and not host.process.frozen]
        busy = [host for host in living if host.busy]
        among = busy if busy and self._world.chance(0.85) else living
        return self._world.random.choice(among) if among else None

    def _some_pending(self) -> tuple[Durable, int] | None:
        pending = [(durable, sequence) for durable in self._server.durables.values() for sequence in durable.pending]
        return self._world.random.choice(pending) if pending else None
