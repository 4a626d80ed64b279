"""Drives a flow from the top: recorded steps are served, model calls are made, and what must be waited for is issued.

The flow stands still when all that it awaits is unrecorded. Then everything it asked for is put on the log as one
turn, and the worker lets go of the run; the turn's last result brings it back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import structlog

from trunkline.bus import Bus, Recorded, append
from trunkline.contracts.codec import Event
from trunkline.contracts.errors import BusUnavailable, CallerMistake, Cancelled, Closing, Divergence, RunFailed
from trunkline.contracts.messages import Call, Fact, Note, Parent, Result, Task, Turn
from trunkline.contracts.subjects import RunKey, Subject
from trunkline.run.divergence import Difference, diverged, record_of
from trunkline.run.inputs import Asked
from trunkline.run.naming import begin_naming
from trunkline.run.state import RunState, turn_number

log = structlog.get_logger("trunkline.run")

T = TypeVar("T")
Found = dict[str, Any]
"""The data of a note: any JSON."""

SETTLING_TICKS = 12
"""Turns of the event loop after which a flow that did nothing stands still: a wake-up through one nested `gather`
takes three."""
BEGINNING_TICKS = 2
"""The same when the flow itself waits for a step: whatever it started beside that has begun by then."""
LEAVING_SECONDS = 5.0
MAX_FAN_OUT = 32
MAX_DEPTH = 5


class Stopped(Cancelled):
    """The run is to stop; nothing of it is under way here any more."""


class Suspended(Closing):
    """The turn is on the log; nothing more can be done here."""

    code = "suspended"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A step that somebody else must carry out: how its message is made once its turn is known."""

    step: str
    asked: Asked
    fact: Callable[[Turn], tuple[Subject, Fact]]


class Engine:
    """One worker's work on one turn. `sequence` and `delivery` are those of the message that carries it; `stop` is set
    when the run is cancelled meanwhile.
    """

    def __init__(self, bus: Bus, state: RunState, *, sequence: int, delivery: int, stop: asyncio.Event) -> None:
        self.bus = bus
        self.state = state
        self.key: RunKey = state.key
        self.sequence = sequence
        self.delivery = delivery
        self.stop = stop
        self._wanted: dict[str, Wanted] = {}
        self._waiting: set[asyncio.Task[Any] | None] = set()
        self._turn = turn_number(state)
        self._busy = 0
        self._moves = 0
        self._moved = asyncio.Event()
        self._fatal: Exception | None = None
        self._end: Exception | None = None
        self._clocks: set[asyncio.Timeout] = set()
        self._over = False

    async def drive(self, flow: Coroutine[Any, Any, str]) -> str:
        """The flow's answer. Raises Suspended when its turn has been issued, Stopped, Superseded, BusUnavailable,
        what the run is to `end` with, and whatever the flow raises.
        """
        task = asyncio.create_task(_named(flow), name=f"run {self.key.run}")
        task.add_done_callback(self._flow_ended)
        stopping = asyncio.create_task(self._heed_stop(), name=f"stop {self.key.run}")
        try:
            while not task.done():
                await self._moved.wait()
                self._moved.clear()
                if self._fatal:
                    raise self._fatal
                if not self._busy and (end := self._ending()):
                    raise end
                if await self._stands_still(task):
                    await self._issue()
                    raise Suspended("the turn is on the log")
            if task.cancelled():
                raise RunFailed("The agent's code cancelled itself.", "Await what you cancel, and catch its end.")
            return task.result()
        finally:
            self._over = True
            stopping.cancel()
            if not task.done():
                task.cancel()
                await self._left(task)

    def _flow_ended(self, task: asyncio.Task[str]) -> None:
        """What it raised is told by `drive`, or comes too late: the run ends with something else."""
        if not task.cancelled():
            task.exception()
        self._move()

    def _ending(self) -> Exception | None:
        """With what the run ends as soon as nothing of it is under way here."""
        return Stopped("the run was cancelled") if self.stop.is_set() else self._end

    async def end(self, error: Exception) -> NoReturn:
        """The run ends with `error`, which the flow cannot catch, once nothing of it is under way."""
        self._end = error
        self._move()
        await _forever()

    async def _left(self, task: asyncio.Task[str]) -> None:
        """What the flow does on its way out is its own affair: it gets no more steps, and is not waited for long."""
        _, staying = await asyncio.wait([task], timeout=LEAVING_SECONDS)
        if staying:
            log.warning("a flow does not leave", action="flow_stays", run=self.key.run, seconds=LEAVING_SECONDS)

    async def _heed_stop(self) -> None:
        await self.stop.wait()
        for clock in self._clocks:
            _ring(clock)
        self._move()

    async def inline(self, work: Awaitable[T]) -> T:
        """Do a step in this process. What only the worker may decide on is never raised into the flow."""
        if self._over:
            _drop(work)
        self._busy += 1
        try:
            return await work
        except asyncio.CancelledError:
            if not self._over:
                self._fatal = RunFailed(
                    "The agent's code gave up a step before it was done.",
                    "Race no step against a time-out or another step: its own time-outs hold, and `run` waits for all.",
                )
            raise
        except Stopped:
            pass  # the run ends once nothing of it is under way
        except (Closing, BusUnavailable) as error:
            self._fatal = error
        finally:
            self._busy -= 1
            self._move()
        return await _forever()

    @contextlib.contextmanager
    def interrupting(self, clock: asyncio.Timeout) -> Iterator[None]:
        """While inside, the time of `clock` is up as soon as the run is to stop."""
        self._clocks.add(clock)
        if self.stop.is_set():
            _ring(clock)
        try:
            yield
        finally:
            self._clocks.discard(clock)

    async def result_of(self, wanted: Wanted) -> Result:
        """The recorded result of a step; waits for ever when there is none, and the turn is issued meanwhile.

        Results of the turn that is being worked on are not served: when its carrier comes again, some may be there
        already, and the turn must still be the same one.
        """
        if self._over:
            raise asyncio.CancelledError
        found = self.state.results.get(wanted.step)
        if found and found[1].turn.number < self._turn:
            await self.check(wanted.step, found[1].input_hash, wanted.asked)
            return found[1]
        await self.check(wanted.step, "", wanted.asked)
        self._wanted[wanted.step] = wanted
        self._waiting.add(asyncio.current_task())
        self._move()
        return await _forever()

    def is_new(self, step: str) -> bool:
        """Whether nothing is recorded of this call."""
        return step not in self.state.calls and step not in self.state.results

    async def check(self, step: str, recorded: str, asked: Asked) -> None:
        """Ends the turn with a Divergence when the code asks for something else than what is on the log, whose input's
        hash is `recorded`, if any. The flow cannot catch it.
        """
        divergence = await self._divergence(step, recorded, asked)
        if divergence:
            self._fatal = divergence
            self._move()
            await _forever()

    async def _divergence(self, step: str, recorded: str, asked: Asked) -> Divergence | None:
        same_kind = self.state.kind_at(step) in ("", asked.kind)
        if same_kind and (not recorded or recorded == asked.hash):
            return None
        recorded_input = (await record_of(self.bus, self.key)).told(step)
        return diverged(Difference(step, recorded_input, asked.told))

    async def note(self, name: str, step: str, what: str, /, **data: object) -> None:
        if (name, step) not in self.state.notes:
            note = Note(what=what, data=data)
            await append(self.bus, self.key.step("note", name, step), note)
            self.state.notes[name, step] = note

    async def once(self, name: str, step: str, what: str, find_out: Callable[[], Awaitable[Found]]) -> Found:
        """What is found out once, at a step of a fixed name, and noted: whoever goes on has it from there."""
        note = self.state.notes.get((name, step))
        if note is None:
            note = Note(what=what, data=await find_out())
            written = await append(self.bus, self.key.step("note", name, step), note)
            if written.event and isinstance(written.event.fact, Note):
                note = written.event.fact
            self.state.notes[name, step] = note
        return note.data

    async def _stands_still(self, task: asyncio.Task[str]) -> bool:
        if task.done() or self._busy or not self._wanted:
            return False
        before = self._moves
        for _ in range(BEGINNING_TICKS if task in self._waiting else SETTLING_TICKS):
            await asyncio.sleep(0)
            if self._moves != before or task.done():
                return False
        return True

    async def _issue(self) -> None:
        wanted = list(self._wanted.values())
        if len(wanted) > MAX_FAN_OUT:
            raise CallerMistake(
                f"{len(wanted)} calls at once are more than {MAX_FAN_OUT}.", "Ask for fewer things side by side."
            )
        turn = Turn(number=self._turn, of=len(wanted))
        if len(wanted) == 1:
            await self._issue_one(wanted[0], turn)
        else:
            await asyncio.gather(*(self._issue_one(step, turn) for step in wanted))

    async def _issue_one(self, wanted: Wanted, turn: Turn) -> None:
        subject, fact = wanted.fact(turn)
        recorded: Recorded = await append(self.bus, subject, fact, whoever=True)
        if recorded.event:
            await self._compare(wanted, turn, recorded.event)

    async def _compare(self, wanted: Wanted, turn: Turn, found: Event) -> None:
        """Somebody issued this step before us: fine when it is the same one."""
        match found.fact:
            case Call(turn=issued, input_hash=digest) | Result(turn=issued, input_hash=digest):
                pass
            case Task(parent=Parent(turn=issued, input_hash=digest)):
                pass
            case _:
                return
        if divergence := await self._divergence(wanted.step, f"{digest}", wanted.asked):
            raise divergence
        if issued != turn:
            raise Divergence(
                f"Step {wanted.step} was issued in turn {issued.number} with {issued.of} calls, "
                f"and now in turn {turn.number} with {turn.of}.",
                "A flow must ask for the same steps each time; it may wait for nothing but `run`.",
            )

    def _move(self) -> None:
        self._moves += 1
        self._moved.set()


async def _named(flow: Coroutine[Any, Any, str]) -> str:
    begin_naming()
    try:
        return await flow
    except SystemExit as error:
        raise RunFailed(f"The agent's code called sys.exit({error.code!r}).", "Return or raise an error.") from error


def _ring(clock: asyncio.Timeout) -> None:
    if not clock.expired():
        clock.reschedule(asyncio.get_running_loop().time())


def _drop(work: Awaitable[object]) -> NoReturn:
    """The turn is over: whatever the flow still asks for is not begun."""
    if isinstance(work, Coroutine):
        work.close()
    raise asyncio.CancelledError


async def _forever() -> NoReturn:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("a future that nobody holds was resolved")
