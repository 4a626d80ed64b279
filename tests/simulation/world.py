"""Virtual time, and processes that live in it: each is an event loop of its own, stepped by one seeded scheduler.

A process that crashes is never stepped again, so none of its code runs; one that is frozen is stepped when it wakes,
and finds everything that reached it meanwhile.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

MIDNIGHT = 1_800_057_600
"""Of UTC, in Unix seconds."""
MORNING = 16 * 3600.0
"""Seconds until midnight."""

Act = Callable[..., object]
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class World:
    """What is going to happen, in order of time. `told` gets a line for everything that does, when it is wanted.
    `to_midnight`: seconds from the beginning.
    """

    def __init__(self, seed: int, told: Callable[[str], None] | None = None, *, to_midnight: float = MORNING) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.began = MIDNIGHT - to_midnight
        self.events = 0
        self.told = told
        self._coming: list[tuple[float, int, Act, tuple[Any, ...]]] = []
        self._order = itertools.count()

    @property
    def unix(self) -> float:
        """The right time, in Unix seconds."""
        return self.began + self.now

    def after(self, seconds: float, act: Act, *args: Any) -> None:
        heapq.heappush(self._coming, (self.now + seconds, next(self._order), act, args))

    def step(self) -> bool:
        """Let the next thing happen; False when nothing is to come."""
        if not self._coming:
            return False
        self.now, _, act, args = heapq.heappop(self._coming)
        self.events += 1
        act(*args)
        return True

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.random.random() < probability

    def say(self, what: str) -> None:
        if self.told:
            self.told(f"{self.now:9.4f}  {what}")


class Process(asyncio.AbstractEventLoop):
    """One operating system process. Its code runs inside `run`, until every task of it waits for something. `skew`: by
    how many seconds its wall clock is wrong.
    """

    def __init__(self, world: World, name: str, *, skew: float = 0.0) -> None:
        self.world = world
        self.name = name
        self.skew = skew
        self.alive = True
        self.frozen = False
        self.muted = False
        self.surprises: list[str] = []
        self._ready: deque[asyncio.Handle] = deque()
        self._late_timers: list[asyncio.TimerHandle] = []
        self._late_messages: list[tuple[Act, tuple[Any, ...]]] = []

    def hear(self, act: Act, *args: Any) -> None:
        """Something reaches the process from outside: `act` is done in it, at once or when it wakes."""
        if self.frozen:
            self._late_messages.append((act, args))
        elif self.alive:
            self.call_soon(act, *args)
            self.run()

    def run(self) -> None:
        ready = self._ready
        asyncio.events._set_running_loop(self)
        try:
            while ready:
                handle = ready.popleft()
                if not handle._cancelled:  # as asyncio's own loops look at it
                    handle._run()
        finally:
            asyncio.events._set_running_loop(None)

    def crash(self, *, muted: bool) -> None:
        """`muted`: what it has just sent does not arrive any more."""
        self.alive = self.frozen = False
        self.muted = muted
        self._ready.clear()
        self._late_timers.clear()
        self._late_messages.clear()

    def freeze(self) -> None:
        self.frozen = True

    def wake(self, *, timers_first: bool) -> None:
        """Whether timers or messages come first is not for the code to rely on."""
        if not self.frozen:
            return
        self.frozen = False
        timers, self._late_timers = self._late_timers, []
        messages, self._late_messages = self._late_messages, []
        if timers_first:
            self._ready += timers
            self.run()
        for act, args in messages:
            self.call_soon(act, *args)
        self.run()
        if not timers_first:
            self._ready += timers
            self.run()

    def _due(self, timer: asyncio.TimerHandle) -> None:
        if timer._cancelled:
            return
        if self.frozen:
            self._late_timers.append(timer)
        elif self.alive:
            self._ready.append(timer)
            self.run()

    def time(self) -> float:
        return self.world.now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.world.now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self.world.after(max(0.0, when - self.world.now), self._due, timer)
        return timer

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)  # type: ignore[arg-type]  # any name will do
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # a process that ends leaves tasks behind
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.alive:
            self.surprises.append(f"{context.get('message')}: {context.get('exception')!r}")

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def _timer_handle_cancelled(self, timer: asyncio.TimerHandle) -> None:
        """A cancelled timer is passed over when its time comes."""
