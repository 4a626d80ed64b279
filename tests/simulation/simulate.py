"""One seed: what takes part is drawn, the world runs until it is at rest, and the laws are asked."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from tests.simulation.counters import Counters
from tests.simulation.faults import Faults
from tests.simulation.hosts import Host, executor, refunder, worker
from tests.simulation.jetstream import Durable, JetStream, Log
from tests.simulation.laws import AT_REST, NO_SURPRISE, Laws
from tests.simulation.network import Network
from tests.simulation.outside import Person
from tests.simulation.questions import BOOK, LOOK
from tests.simulation.scenario import Asked, Scenario, draw
from tests.simulation.stored import Stored
from tests.simulation.verdict import judge, settled
from tests.simulation.world import Process, World
from trunkline.bus.consumers import of_agent, of_tool
from trunkline.contracts.codec import encode
from trunkline.contracts.messages import Request, Task
from trunkline.contracts.subjects import RunKey

CALM_AFTER = 120.0
"""Virtual seconds after which nothing goes wrong any more."""
PATIENCE = 900.0
"""Virtual seconds after the last fault within which everything must be at rest."""
MOST_EVENTS = 30_000
EVEN: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed came to, in `seconds` of virtual time; `breach` is the law that was broken, and how."""

    seed: int
    events: int
    messages: int
    takeovers: int
    crashes: int
    paid: int
    refused: int
    refunded: int
    seconds: float
    breach: tuple[str, str] | None


def simulate(seed: int, told: Callable[[str], None] | None = None, *, emphasis: Mapping[str, Any] = EVEN) -> Outcome:
    """The same seed gives the same history. `told` gets a line for everything that happens; `emphasis` replaces what
    was drawn for the scenario.

    What a history leaves behind is finalised at its end: in the middle of the next one, it would draw from there.
    """
    gc.disable()
    try:
        return _history(seed, told, emphasis)
    finally:
        gc.collect()
        gc.enable()


def _history(seed: int, told: Callable[[str], None] | None, emphasis: Mapping[str, Any]) -> Outcome:
    random.seed(seed)  # the product draws its pauses there
    scenario = replace(draw(seed), **emphasis)
    simulation = Simulation(World(seed, told, to_midnight=scenario.to_midnight), scenario)
    simulation.run()
    gc.collect()  # a failure that nobody was told of is a surprise of this history
    outcome = simulation.outcome()
    simulation.clear()
    return outcome


class Simulation:
    def __init__(self, world: World, scenario: Scenario) -> None:
        self.world = world
        self.scenario = scenario
        self.laws = Laws(world, scenario.limits)
        self.hosts: dict[str, Host] = {}
        self._log = Log(world, self._stored, replicated=scenario.replicated, lag=scenario.lag)
        counters = Counters(world, self._counted, replicated=scenario.replicated, lag=scenario.lag)
        self._server = JetStream(self._log, counters, self.laws.settled, self._unknown)
        self._network = Network(world, self._server, loss=scenario.loss, delay=scenario.delay)
        self._faults = Faults(world, self._network, self._server, self.laws, self.hosts, self._restart)
        self._coming = list(scenario.faults)
        self._person = Person(world, self._log, self.laws)
        self._gone: list[Host] = []
        self._to_ask = len(scenario.asked)
        self._calm_since: float | None = None

    def run(self) -> None:
        self._begin()
        while self.laws.breach is None and not self._at_rest():
            if not self.world.step():
                self.laws.broken(AT_REST, "nothing is to come, and not everything is done")
            self._dispatch()
            if self._coming and self.world.events >= self._coming[0].event:
                self._faults.happen(self._coming.pop(0).kind)
            self._be_patient()
        for host in self.hosts.values():
            if host.process.surprises:
                self.laws.broken(NO_SURPRISE, host.process.surprises[0])
            host.process.crash(muted=True)
        if self.laws.breach is None:
            judge(self.laws, self.scenario, self._server)
            settled(self.laws.spending, self._log, calm=self.scenario.calm)

    def outcome(self) -> Outcome:
        return Outcome(
            seed=self.scenario.seed,
            events=self.world.events,
            messages=self._log.last_sequence,
            takeovers=self.laws.takeovers,
            crashes=self._faults.crashes,
            paid=self.laws.paid,
            refused=self.laws.spending.refusals,
            refunded=self.laws.spending.refunds,
            seconds=self.world.now,
            breach=self.laws.breach,
        )

    def clear(self) -> None:
        """Let go of everything, so that little is left for the garbage collector to look for."""
        for each in (*self._gone, *self.hosts.values(), self.world, self._network, self._server, self._faults, self):
            vars(each).clear()

    def _begin(self) -> None:
        self.world.say(f"{self.scenario}")
        for consumer in (*map(of_agent, self.scenario.agents), of_tool(LOOK), of_tool(BOOK)):
            self._server.durables[consumer.name] = Durable(self.world, self._log, consumer, self._faults.send)
        for number, version in enumerate(self.scenario.workers, start=1):
            self._start(f"w{number}", version)
        for number in range(1, self.scenario.executors + 1):
            self._start(f"x{number}")
        for number in range(1, self.scenario.refunders + 1 if self.scenario.limits else 1):
            self._start(f"f{number}")
        for asked in self.scenario.asked:
            self.world.after(asked.at, self._ask, asked)

    def _start(self, name: str, version: str = "") -> None:
        skew = self.world.random.uniform(-1, 1) * self.scenario.skew
        process = Process(self.world, name, skew=skew)  # type: ignore[abstract]  # as much of a loop as is used
        host = self.hosts[name] = Host.of(process, self._network, self.laws, version)
        if name.startswith("w"):
            worker(host, self.scenario, self._server.durables, self._workers_with)
        elif name.startswith("f"):
            refunder(host)
        else:
            executor(host, self.scenario, (LOOK, BOOK), self._server.durables)

    def _restart(self, name: str) -> None:
        """As a new process, which has another id."""
        gone = self.hosts.pop(name, None)
        if gone is not None:
            self._gone.append(gone)  # swept up, its code would run
            base, _, number = name.partition("-")
            self._start(f"{base}-{int(number or 1) + 1}", gone.version)

    def _workers_with(self, version: str) -> list[str]:
        """As the registry has them, which does not know yet who has just crashed."""
        return [name for name, host in self.hosts.items() if host.version == version]

    def _ask(self, asked: Asked) -> None:
        self._to_ask -= 1
        key = RunKey.checked(asked.run, asked.conversation)
        request = Request(id=f"q-{asked.run}", text=asked.text, user=asked.user, first=asked.first)
        task = Task(id=f"t-{asked.run}", text=asked.text, user=asked.user, first=asked.first)
        self._log.put(str(key.step("request", "router")), encode(request))
        self._log.put(str(key.step("task", asked.agent)), encode(task))

    def _stored(self, message: Stored) -> None:
        self.laws.stored(message)
        self._server.stored(message)
        if ".approval." in message.subject:
            self._person.asked(message)

    def _counted(self, message: Stored) -> None:
        self.laws.spending.counted(message)
        self._network.counted()

    def _unknown(self, subject: str) -> None:
        self.laws.broken(NO_SURPRISE, f"the simulated bus does not know {subject}: model it in jetstream.py")

    def _dispatch(self) -> None:
        for durable in self._server.durables.values():
            if durable.again or durable.coming:
                durable.dispatch()

    def _at_rest(self) -> bool:
        if self.laws.unanswered or self._to_ask or not all(each.idle for each in self._server.durables.values()):
            return False
        if any(call.result is None for book in self.laws.books.values() for call in book.calls.values()):
            return False
        if any(host.busy or host.process.frozen for host in self.hosts.values()):
            return False
        return self._nothing_is_held()

    def _nothing_is_held(self) -> bool:
        """As far as those know who would give it back; one of them knows all there is."""
        refunds = [host.refunds for host in self.hosts.values() if host.refunds]
        last = len(self._server.counters.messages)
        if not refunds and self.scenario.limits:
            return False
        return all(each.position >= last and not each.open for each in refunds)

    def _be_patient(self) -> None:
        world = self.world
        if self._calm_since is None:
            if not self._coming or world.now > CALM_AFTER:
                self._calm()
        elif world.now > self._calm_since + PATIENCE or world.events > MOST_EVENTS:
            late = sorted(run for run, book in self.laws.books.items() if book.answer is None)
            left = {name: sorted(each.pending) for name, each in self._server.durables.items() if not each.idle}
            self.laws.broken(AT_REST, f"after {world.now:.0f} s, without an answer: {late}; not settled: {left}")

    def _calm(self) -> None:
        """Nothing goes wrong from here; who is gone comes back in time."""
        self.world.say("          --- calm")
        self._calm_since = self.world.now
        self._coming.clear()
        self._network.loss = self._network.delay = 0.0
