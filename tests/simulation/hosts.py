"""Processes that host the product's workers and executors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from nats.aio.msg import Msg

from tests.simulation.agents import BESIDE, SPOKEN, agents
from tests.simulation.jetstream import Durable
from tests.simulation.laws import NO_SURPRISE, Laws
from tests.simulation.network import Client, Network
from tests.simulation.outside import MarkingSandbox, ScriptedModel
from tests.simulation.questions import WRITES
from tests.simulation.scenario import INPUT_PICO, OUTPUT_PICO, Scenario
from tests.simulation.world import Process
from trunkline.budget import Budgets, BudgetSettings
from trunkline.budget.counters import Entry
from trunkline.budget.refunds import Refunds
from trunkline.bus import Bus, Lease, LeaseLoop
from trunkline.bus.cancels import Cancels
from trunkline.bus.clock import ServerClock
from trunkline.bus.dead import parking
from trunkline.bus.lease import Handler, Park
from trunkline.contracts.dialog import ToolSpec
from trunkline.contracts.errors import BusUnavailable, Closing, TryAgain
from trunkline.contracts.registry import ToolCard
from trunkline.prices import PriceBook
from trunkline.prices.rates import Rate, Rates
from trunkline.run.ending import fail_call
from trunkline.run.run import Surroundings
from trunkline.worker.handover import taking_over
from trunkline.worker.turn import Worker
from trunkline_tools.executor import Executor

MODEL_TIMEOUT = 600.0
"""Seconds; longer than any process stands still, so that a call which ends otherwise is no surprise."""
Durables = dict[str, Durable]
Colleagues = Callable[[str], Sequence[str]]


class Refunding(Refunds):
    """What gives money back, told by the simulated network what it would follow."""

    @property
    def position(self) -> int:
        """Up to where it has read the counters."""
        return self._position

    async def _keep_reading(self) -> None:
        client: Any = self._bus.client
        async for batch in client.counted(self._position):
            for message in batch:
                self._position = message.sequence
                self._take(Entry.read(message))
            self._read.set()
            self._read = asyncio.Event()


@dataclass
class Host:
    """A process and the lease loops that it runs. `reachable` is false once the server knows that it is gone. Nothing
    ever comes of `ended`: whoever waits for it lives as long as the process.
    """

    process: Process
    bus: Bus
    laws: Laws
    ended: asyncio.Future[None]
    version: str = ""
    loops: dict[str, LeaseLoop] = field(default_factory=dict)
    reachable: bool = True
    cancels: Cancels = field(default_factory=Cancels)
    refunds: Refunding | None = None
    _under_way: dict[str, int] = field(default_factory=dict)
    _beating: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, process: Process, network: Network, laws: Laws, version: str = "") -> Host:
        bus = Bus(Client(process, network), "simulated")  # type: ignore[arg-type]  # as much of nats-py as is used
        process.hear(process.create_task, bus.mailbox.open())
        return cls(process, bus, laws, process.create_future(), version)

    @property
    def busy(self) -> bool:
        return any(loop.busy for loop in self.loops.values())

    def serve(self, durable: Durable, handler: Handler, park: Park, slots: int) -> LeaseLoop:
        loop = LeaseLoop(self.bus, durable.config, self._watched(durable, handler), park=park, slots=slots)
        loop._created_at = durable.created_at
        self.loops[durable.config.name] = loop
        self._under_way[durable.config.name] = 0
        return loop

    def open_to(self, durable: Durable) -> bool:
        """Whether a pull request of it waits."""
        name = durable.config.name
        loop = self.loops.get(name)
        return loop is not None and self.reachable and loop.busy + self._under_way[name] < loop._slots

    def expect(self, durable: Durable) -> None:
        """A message is on its way."""
        self._under_way[durable.config.name] += 1

    def take(self, durable: Durable, message: Msg) -> None:
        """What a pull brings."""
        name = durable.config.name
        self._under_way[name] -= 1
        if name not in self._beating:
            self._beating.add(name)
            self.process.create_task(self.loops[name]._keep_alive())
        self.process.create_task(self.loops[name].receive(message))

    def _watched(self, durable: Durable, handler: Handler) -> Handler:
        async def handle(lease: Lease) -> None:
            self.laws.takes_up(self.process.name, durable, lease.sequence, lease.delivery)
            try:
                await handler(lease)
            except (Closing, TryAgain):
                raise
            except Exception as error:
                if self.process.alive:
                    self.laws.broken(NO_SURPRISE, f"{self.process.name} failed at {lease.message.subject}: {error!r}")
                raise

        return handle


def worker(host: Host, scenario: Scenario, durables: Durables, colleagues: Colleagues) -> None:
    """Make it a process that works for every agent."""
    here = agents(host.version, scenario.on_divergence, scenario.over_budget)
    budgets = _budgets(host, scenario)
    for name in scenario.agents:
        each = Worker(
            bus=host.bus,
            agent=here[name],
            models=ScriptedModel(host.process, host.laws, scenario),
            surroundings=_SURROUNDINGS,
            cancels=host.cancels,
            id=host.process.name,
            version=host.version,
            model_timeout=MODEL_TIMEOUT,
            colleagues=colleagues,
            prices=_PRICES,
            budgets=budgets,
        )
        park = parking(host.bus, "agents", each.give_up)
        loop = host.serve(durables[f"agent-{name}"], each.handle, park, scenario.slots)
        if len(set(scenario.workers)) > 1:
            host.process.hear(host.process.create_task, _take_over(host, name, loop))


def executor(host: Host, scenario: Scenario, tools: Iterable[str], durables: Durables) -> None:
    """Make it a process that runs tools."""
    for tool in tools:
        card = ToolCard(
            tool=tool,
            executor=host.process.name,
            effect="write" if tool in WRITES else "read",
            retries=0 if tool in WRITES else 2,
            reconcile_seconds=5.0 if scenario.reconciles and tool in WRITES else 0.0,
        )
        sandbox = MarkingSandbox(host.process, host.laws, scenario)
        each = Executor(host.bus, card, sandbox, host.cancels, ServerClock())
        park = parking(host.bus, "tools", partial(fail_call, host.bus))
        host.serve(durables[f"tool-{tool}"], each.handle, park, scenario.slots)


def refunder(host: Host) -> None:
    """Make it a process that gives back what others have left."""
    host.refunds = Refunding(host.bus)
    host.process.hear(host.process.create_task, _refund(host, host.refunds))


async def _refund(host: Host, refunds: Refunds) -> None:
    """For as long as the process lives, once the bus says where to begin."""
    while True:
        with contextlib.suppress(BusUnavailable):
            async with refunds.refunding():
                await host.ended


def _budgets(host: Host, scenario: Scenario) -> Budgets | None:
    """Running, where nobody sets limits; its clock is a little behind."""
    if not scenario.limits:
        return None
    world, clock = host.process.world, ServerClock()
    clock._said, clock._heard = datetime.fromtimestamp(world.unix - world.random.uniform(0, 2), UTC), world.now
    amounts: dict[str, Any] = dict.fromkeys(BudgetSettings.model_fields)
    amounts |= {kind.replace("-", "_"): amount for kind, amount in scenario.limits.items()}
    budgets = Budgets(BudgetSettings.model_construct(None, **amounts), clock)
    budgets._bus = host.bus
    return budgets


async def _take_over(host: Host, agent: str, loop: LeaseLoop) -> None:
    """Open to what others hand over, for as long as the process lives."""
    async with taking_over(host.bus, agent, host.process.name, loop):
        await host.ended


def _models(name: str) -> tuple[str, ...]:
    return f"p:{name}", f"p:{name}-spare"


async def _specs(names: Sequence[str]) -> Sequence[ToolSpec]:
    return [ToolSpec(name=name) for name in names]


async def _there(_: str) -> bool:
    return True


_RATES = Rates(Rate(INPUT_PICO), Rate(OUTPUT_PICO))
_PRICES = PriceBook({model: _RATES for name in (SPOKEN, BESIDE) for model in _models(name)})
_SURROUNDINGS = Surroundings(_models, _specs, _there, _there)
