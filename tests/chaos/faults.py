"""Faults on real processes, drawn from one seed: what happens when, to whom, and for how long."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import random
import shutil
import signal
import socket
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import orjson

from tests.chaos import clerk
from tests.chaos.office import TOOLS, Office
from trunkline.bus import Bus, append
from trunkline.bus.consumers import of_tool
from trunkline.bus.streams import stream_info
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Request
from trunkline.contracts.subjects import ROUTER, TRUNK, RunKey

FAKETIME = Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "faketime" / "libfaketime.so.1"
"""Debian's package libfaketime."""


SUPERVISED_STARTS = 4


class Impossible(Exception):
    """This fault cannot be done here, or now."""


class Kind(StrEnum):
    KILL = "kill -9 and restart"
    FREEZE = "stop past AckWait, then go on"
    SERVER_KILL = "kill -9 of nats-server and restart"
    SERVER_FREEZE = "stop of nats-server for seconds"
    DUPLICATE = "a recorded fact published again"
    POISON = "garbage on the trunk"
    SLOW_READER = "a subscriber that does not read"
    LEDGER_LOCK = "the ledger's database locked"
    LEDGER_ROLLBACK = "the ledger's database set back"
    CLOCK_SKEW = "a process with a wrong clock"
    ROLLING = "agents restarted with another version"


@dataclass(frozen=True, slots=True)
class Fault:
    """`at` and `lasts` in seconds, `at` from the beginning; `victim` is a process, or empty."""

    at: float
    kind: Kind
    victim: str
    lasts: float


@dataclass(frozen=True, slots=True)
class Happened:
    """A fault that was done: to which pid, and when it struck."""

    fault: Fault
    pid: int
    struck: datetime


VICTIMS: Mapping[Kind, tuple[str, ...]] = {
    Kind.KILL: ("router", "router-2", "tools", "tools-2", "agents", "agents-2", "agents-3", "ledger"),
    Kind.FREEZE: ("router-2", "tools", "tools-2", "agents", "agents-2", "agents-3"),
    Kind.CLOCK_SKEW: ("router-2", "tools-2", "agents-3"),
    Kind.ROLLING: ("agents", "agents-2", "agents-3"),
}
AT_WORK = ("tools", "tools-2", "agents", "agents-2", "agents-3")
"""Whose loss interrupts runs."""


def plan(
    seed: int, counts: Mapping[Kind, int], seconds: float, *, ack_wait: float, killed: Sequence[str] = ()
) -> list[Fault]:
    """`counts` faults of each kind, spread over `seconds`: the same for the same seed. `killed`: who; else anybody."""
    draw = random.Random(seed)
    lasts = {
        Kind.FREEZE: (ack_wait * 1.15, ack_wait * 1.6),
        Kind.SERVER_FREEZE: (2.0, 6.0),
        Kind.SLOW_READER: (10.0, 20.0),
        Kind.LEDGER_LOCK: (2.0, 14.0),
        Kind.LEDGER_ROLLBACK: (2.0, 6.0),
        Kind.CLOCK_SKEW: (5.0, 15.0),
    }
    victims = {**VICTIMS, Kind.KILL: tuple(killed) or VICTIMS[Kind.KILL]}
    faults = []
    for kind in Kind:
        count = counts.get(kind, 0)
        parties = victims.get(kind, ("",))
        turn = draw.sample(parties, len(parties))
        for number in range(count):
            at = (number + draw.random()) / count * seconds
            faults.append(Fault(at, kind, turn[number % len(turn)], draw.uniform(*lasts.get(kind, (0.0, 0.0)))))
    return sorted(faults, key=lambda fault: fault.at)


class Faults:
    """Does what a plan says, each fault beside the others; one process suffers one fault at a time.

    `happened`: what was done. `skipped`: what could not be done, with its reason. `poisoned`: runs that consist of
    garbage. `taken_twice`: what the log took although it had it. `left_at_start`: last words of processes that left
    while they started. `earlier`: runs that may be asked for again.
    """

    def __init__(self, office: Office, bus: Bus, seed: int, earlier: Mapping[str, RunKey]) -> None:
        self._office = office
        self._platform = office.platform
        self._bus = bus
        self._draw = random.Random(seed)
        self._earlier = earlier
        self._busy: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._versions = itertools.cycle(reversed(office.files))
        self.happened: list[Happened] = []
        self.skipped: Counter[str] = Counter()
        self.poisoned: list[str] = []
        self.taken_twice: list[str] = []
        self.left_at_start: list[str] = []
        self.redeliveries = Redeliveries(bus)

    async def carry_out(self, faults: Sequence[Fault]) -> None:
        """Until the last of them is over."""
        begun = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(self._one(fault, begun), name=f"fault {fault.kind.name}")

    async def _one(self, fault: Fault, begun: float) -> None:
        await asyncio.sleep(max(0.0, begun + fault.at - asyncio.get_running_loop().time()))
        async with self._busy[_whom(fault)]:
            pid = self._platform.pid(fault.victim) if fault.victim else 0
            struck = datetime.now(UTC)
            try:
                await getattr(self, f"_{fault.kind.name.lower()}")(fault)
            except Impossible as reason:
                self.skipped[f"{fault.kind}: {reason}"] += 1
            else:
                self.happened.append(Happened(fault, pid, struck))

    async def _kill(self, fault: Fault) -> None:
        await self._platform.kill(fault.victim)
        await self._restart(fault.victim)

    async def _restart(self, process: str, *, file: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        """As a supervisor does: one that leaves while it starts, as when the bus dies meanwhile, is started again."""
        for attempt in range(SUPERVISED_STARTS):
            try:
                await self._platform.restart(process, file=file, env=env)
            except AssertionError:
                if self._platform.alive(process) or attempt + 1 == SUPERVISED_STARTS:
                    raise
                self.left_at_start.append(self._platform.log(process, 300))
            else:
                return

    async def _freeze(self, fault: Fault) -> None:
        self._platform.freeze(fault.victim)
        try:
            await asyncio.sleep(fault.lasts)
        finally:
            self._platform.thaw(fault.victim)

    async def _server_kill(self, _: Fault) -> None:
        await self.redeliveries.look()
        await self._platform.server.stop(kill=True)
        await self._platform.server.start()

    async def _server_freeze(self, fault: Fault) -> None:
        pid = self._platform.server.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.lasts)
        finally:
            os.kill(pid, signal.SIGCONT)

    async def _duplicate(self, _: Fault) -> None:
        """A recorded fact as it stands, without a fence; and a question under the id of a run that there is."""
        try:
            last = (await stream_info(self._bus, TRUNK)).last_sequence
            sequence = self._draw.randint(1, max(1, last))
            stored = (await self._bus.api(f"STREAM.MSG.GET.{TRUNK}", {"seq": sequence}))["message"]
            reply = await self._bus.mailbox.request(stored["subject"], base64.b64decode(stored.get("data", "")))
            if "error" not in orjson.loads(reply.data):
                self.taken_twice.append(stored["subject"])
            if self._earlier:
                key = self._draw.choice(list(self._earlier.values()))
                again = Request(text="Work on 1", agent=clerk.clerk.name)
                if (await append(self._bus, key.step("request", ROUTER), again)).own:
                    self.taken_twice.append(str(key.step("request", ROUTER)))
        except (BusUnavailable, LookupError) as error:
            raise Impossible(f"the bus was away ({type(error).__name__})") from error

    async def _poison(self, _: Fault) -> None:
        """Bytes that are no fact, where a service takes its work; and a subject that has no shape."""
        key = RunKey.checked(new_run_id(), new_conversation_id())
        kind, name = self._draw.choice(
            [("request", ROUTER), ("task", clerk.clerk.name), ("call", "look"), ("result", clerk.clerk.name)]
        )
        garbage = self._draw.choice([self._draw.randbytes(200), b"", b'{"kind":"answer"}', b'{"text":5,"turn":[]}'])
        try:
            await self._bus.mailbox.request(f"{key.everything[:-1]}{kind}.{name}.1", garbage)
            await self._bus.mailbox.request(f"{key.everything[:-1]}{kind}", garbage)
        except BusUnavailable as error:
            raise Impossible("the bus was away") from error
        self.poisoned.append(key.run)

    async def _slow_reader(self, fault: Fault) -> None:
        """It wants everything and reads nothing; its buffers are small, so that the server has to wait for it."""
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            try:
                reader.connect(("127.0.0.1", self._platform.server.port))
                reader.sendall(b'CONNECT {"verbose":false}\r\nSUB trunk.> 1\r\nSUB live.> 2\r\n')
            except OSError as error:
                raise Impossible("the bus was away") from error
            await asyncio.sleep(fault.lasts)

    async def _ledger_lock(self, fault: Fault) -> None:
        with contextlib.closing(self._connected()) as database:
            try:
                await asyncio.to_thread(database.execute, "BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                raise Impossible(f"the ledger held it ({error})") from error
            await asyncio.sleep(fault.lasts)
            database.rollback()

    async def _ledger_rollback(self, fault: Fault) -> None:
        """An earlier copy comes back while the ledger is down, as from a backup."""
        earlier = self._office.folder / "ledger.earlier"
        await asyncio.to_thread(_copy_database, self._database, earlier)
        await asyncio.sleep(fault.lasts)
        await self._platform.kill("ledger")
        for leftover in self._database.parent.glob(f"{self._database.name}-*"):
            leftover.unlink()
        shutil.copy(earlier, self._database)
        await self._restart("ledger")

    async def _clock_skew(self, fault: Fault) -> None:
        """Its clock of the day is wrong; the one that counts seconds is not."""
        if not FAKETIME.exists():
            raise Impossible(f"there is no {FAKETIME.name} (Debian's package libfaketime)")
        skew = self._draw.choice(["-1d", "-1h", "-90s", "+90s", "+1h", "+1d"])
        skewed = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": skew, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        await self._restart(fault.victim, env=skewed)
        await asyncio.sleep(fault.lasts)
        await self._restart(fault.victim)

    async def _rolling(self, fault: Fault) -> None:
        await self._restart(fault.victim, file=next(self._versions))

    def _connected(self) -> sqlite3.Connection:
        return sqlite3.connect(self._database, timeout=10, isolation_level=None, check_same_thread=False)

    @property
    def _database(self) -> Path:
        return self._office.folder / "data" / "ledger.db"


class Redeliveries:
    """Deliveries of calls beyond the first, as the server counts them; a server that is killed forgets its latest.

    Look right before that, and at the end.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._counted: Counter[str] = Counter()
        self._last: Counter[str] = Counter()

    async def look(self) -> None:
        for tool in TOOLS:
            try:
                info = await self._bus.api(f"CONSUMER.INFO.{TRUNK}.{of_tool(tool).name}")
            except BusUnavailable:
                continue
            now = int(info["delivered"]["consumer_seq"])
            self._counted[tool] += max(0, now - self._last[tool])
            self._last[tool] = now

    def beyond(self, calls: int) -> int:
        """Of so many calls."""
        return max(0, self._counted.total() - calls)


def _whom(fault: Fault) -> str:
    """Faults of the same party happen one after another."""
    if fault.kind in {Kind.SERVER_KILL, Kind.SERVER_FREEZE}:
        return "nats-server"
    if fault.kind in {Kind.LEDGER_LOCK, Kind.LEDGER_ROLLBACK}:
        return "ledger"
    return fault.victim or fault.kind


def _copy_database(file: Path, to: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as source, contextlib.closing(sqlite3.connect(to)) as copy:
        source.backup(copy)
