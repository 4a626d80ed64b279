"""Load and faults at once on a real platform; then silence, and the checker's verdict."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.checker import Extra, Law, Violation, World, check
from tests.chaos.faults import Fault, Faults, Kind, plan
from tests.chaos.load import Asked, Askers
from tests.chaos.log import Log, ended_runs, ledger_events, read_log
from tests.chaos.office import TOOLS, WRITES, Office
from tests.chaos.person import Person
from tests.chaos.recovery import recoveries, silences
from tests.chaos.run_log import runs_of
from trunkline.bus import Bus
from trunkline.bus.consumers import ACK_WAIT, Consumer, of_agent, of_router, of_tool
from trunkline.contracts.messages import Call, Note
from trunkline.definitions import load_definitions
from trunkline.run.replay import Replayed, replay

PROGRESS_SECONDS = 5.0
REST_SECONDS = 120.0
SILENT_SECONDS = 3.0
WORK: tuple[Consumer, ...] = (of_router(), of_agent("clerk"), *(of_tool(tool) for tool in TOOLS))


@dataclass(frozen=True)
class Weather:
    """What comes. `counts` faults of each kind over `seconds`, under `at_once` askers that ask for at least `runs`.

    `ack_wait`: None leaves the platform its default. `killed`: the processes that are killed, unless any of them.
    """

    seed: int
    counts: Mapping[Kind, int]
    seconds: float
    at_once: int = 12
    runs: int = 0
    model_seconds: float = 0.2
    ack_wait: float | None = None
    killed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of it. `recoveries` and `silences` in seconds; `stuck`: consumers that did not come to rest.

    `left_at_start`: processes that left while they started, and were started again. Calls in doubt were `decided` by a
    person, or `reconciled` by their tool. `diverged`: runs whose replay asked for something else.
    """

    weather: Weather
    seconds: float
    asked: Asked
    happened: Counter[Kind]
    skipped: Counter[str]
    left_at_start: int
    decided: Counter[str]
    reconciled: int
    extra: Extra
    violations: Sequence[Violation]
    recoveries: Sequence[float]
    silences: Sequence[float]
    stuck: Sequence[str]
    messages: int
    missing_in_ledger: int
    effects: int
    effects_twice: int
    replayed: int
    diverged: Sequence[str]
    unanswered: int

    @property
    def problems(self) -> list[str]:
        """All that must not be; nothing when it is good."""
        unanswered = [f"{self.unanswered} acknowledged requests got no answer"] if self.unanswered else []
        return [*map(str, self.violations), *self.asked.wrong, *unanswered, *self.stuck, *self.diverged]


async def brave(weather: Weather, folder: Path, say: Callable[[str], object]) -> Outcome:
    """Start everything, let the weather come, wait for calm, look at the log. Everything is stopped at the end."""
    office = Office(folder, model_seconds=weather.model_seconds, ack_wait=weather.ack_wait)
    begun = time.monotonic()
    try:
        await office.start()
        async with Bus.open(office.platform.url, name="chaos", wait=30) as bus:
            return await _through(weather, office, bus, begun, say)
    finally:
        await office.platform.stop()


async def _through(weather: Weather, office: Office, bus: Bus, begun: float, say: Callable[[str], object]) -> Outcome:
    over = asyncio.Event()
    askers = Askers(
        bus,
        at_once=weather.at_once,
        enough=lambda asked: over.is_set() and asked.begun >= weather.runs,
        patience=weather.seconds + REST_SECONDS,
    )
    faults = Faults(office, bus, weather.seed, askers.asked.acked)
    person = Person(bus, office)
    async with _beside(person.answer_all()), _beside(_keep_saying(askers.asked, faults, begun, say)):
        async with asyncio.TaskGroup() as group:
            group.create_task(askers.run(), name="askers")
            await faults.carry_out(_planned(weather))
            over.set()
        say("the weather is over; waiting for calm")
        stuck = await _calm(bus)
    await faults.redeliveries.look()
    seconds = time.monotonic() - begun
    return await _judged(weather, office, bus, askers.asked, faults, person.decided, stuck, seconds)


def _planned(weather: Weather) -> list[Fault]:
    ack_wait = ACK_WAIT if weather.ack_wait is None else weather.ack_wait
    return plan(weather.seed, weather.counts, weather.seconds, ack_wait=ack_wait, killed=weather.killed)


async def _judged(
    weather: Weather,
    office: Office,
    bus: Bus,
    asked: Asked,
    faults: Faults,
    decided: Counter[str],
    stuck: Sequence[str],
    seconds: float,
) -> Outcome:
    log, marks = await read_log(bus), office.marks
    runs = runs_of(log.events)
    calls = sum(isinstance(event.fact, Call) and event.subject.name in TOOLS for event in log.events)
    world = World(
        acked=frozenset(asked.acked),
        poisoned=frozenset(faults.poisoned),
        told=asked.told,
        paid=marks.paid,
        began=marks.began,
        effects=marks.effects,
        first=marks.first,
        writes=WRITES,
        redelivered=faults.redeliveries.beyond(calls),
        ledger=await ledger_events(bus),
    )
    replays = await _replays(log, office)
    violations = check(log, world) + [
        Violation(Law.WRITTEN_ONCE, subject, 0, "the log took it again") for subject in faults.taken_twice
    ]
    return Outcome(
        weather=weather,
        seconds=seconds,
        asked=asked,
        happened=Counter(each.fault.kind for each in faults.happened),
        skipped=faults.skipped,
        left_at_start=len(faults.left_at_start),
        decided=decided,
        reconciled=sum(isinstance(event.fact, Note) and event.fact.what == "reconciled" for event in log.events),
        extra=Extra.of(runs, world),
        violations=violations,
        recoveries=sorted(recoveries(runs, faults.happened, office.executors())),
        silences=sorted(silences(runs, SILENT_SECONDS)),
        stuck=stuck,
        messages=len(log.messages),
        missing_in_ledger=sum(violation.law is Law.LEDGER for violation in violations),
        replayed=len(replays),
        diverged=[f"replay: {each}" for each in replays if each.divergence or not each.complete],
        effects=len(marks.effects),
        effects_twice=sum(count > 1 for count in marks.effects.values()),
        unanswered=asked.waiting,
    )


async def _replays(log: Log, office: Office) -> list[Replayed]:
    """Every ended run under the code that it was recorded with."""
    (agent,) = load_definitions(office.files[0]).agents
    events = {run.key: run.events for run in runs_of(log.events)}
    return [await replay(agent, key, events[key]) for key in ended_runs(log.events)]


async def _calm(bus: Bus) -> list[str]:
    """The work consumers that still hold something after two minutes: which, and how much."""
    holding: list[str] = []
    for _ in range(int(REST_SECONDS)):
        holding = [said for consumer in WORK if (said := await _holding(bus, consumer))]
        if not holding:
            return []
        await asyncio.sleep(1)
    return holding


async def _holding(bus: Bus, consumer: Consumer) -> str:
    info = await bus.api(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
    waiting, unacked = info["num_pending"], info["num_ack_pending"]
    return f"{consumer.name}: {waiting} not delivered, {unacked} not acknowledged" if waiting or unacked else ""


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Going on while inside. What it fails with is raised."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _keep_saying(asked: Asked, faults: Faults, begun: float, say: Callable[[str], object]) -> None:
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        done = Counter(each.fault.kind.name.lower() for each in faults.happened)
        said = ", ".join(f"{name} {count}" for name, count in sorted(done.items())) or "no faults yet"
        figures = f"asked {asked.begun}, answered {len(asked.told)}, failed {asked.failures.total()}"
        say(f"{time.monotonic() - begun:5.0f} s  {figures}; {said}")
