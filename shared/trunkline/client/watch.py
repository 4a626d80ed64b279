"""Watching one run. What core NATS brings is a hint, quick and not guaranteed; what counts is read from the log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from trunkline.bus import Bus, fold, recorded
from trunkline.client.progress import Answered, StreamItem, TextDelta, describe
from trunkline.contracts.codec import Event, decode_delta, decode_fact
from trunkline.contracts.errors import BusUnavailable, DeadlinePassed, WireViolation
from trunkline.contracts.messages import Answer
from trunkline.contracts.subjects import CLIENT, RunKey, Subject

if TYPE_CHECKING:
    from nats.aio.msg import Msg

T = TypeVar("T")

_PAUSES = (0.0, 0.002, 0.01, 0.05, 0.2)
LOOK_SECONDS = 3.0
"""How long without any hint until the log itself is looked at."""


async def watch(
    bus: Bus, key: RunKey, publish: Callable[[], Awaitable[None]] | None, seconds: float
) -> AsyncIterator[StreamItem]:
    """Everything about the run, each step once, ending with its answer. `publish` asks, once we are listening.

    Raises DeadlinePassed after `seconds`.
    """
    hints: asyncio.Queue[Msg | None] = asyncio.Queue()
    view = _View(key)
    async with _listening(bus, key, hints):
        if publish is None:
            hints.put_nowait(None)
        else:
            await publish()
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    items = await _next(bus, view, hints)
            except TimeoutError as error:
                raise _too_late(key, seconds) from error
            for item in items:
                yield item
                if isinstance(item, Answered):
                    return


async def answer_of(bus: Bus, key: RunKey, publish: Callable[[], Awaitable[None]], seconds: float) -> Answered:
    """The run's answer alone. Raises DeadlinePassed after `seconds`."""
    subject = str(key.step("answer", CLIENT))
    heard: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
    # One message at most: a future cannot take a second one, and a zombie may announce an answer that is refused.
    subscription = await bus.client.subscribe(subject, future=heard, max_msgs=1)
    try:
        async with asyncio.timeout(seconds):
            await publish()
            while True:
                await asyncio.wait([heard], timeout=LOOK_SECONDS)
                found = await _recorded(bus, subject, pauses=_PAUSES if heard.done() else (0.0,))
                if found and isinstance(found.fact, Answer):
                    return _answered(key, found.fact)
    except TimeoutError as error:
        raise _too_late(key, seconds) from error
    finally:
        heard.cancel()
        with contextlib.suppress(Exception):
            await subscription.unsubscribe()


def _too_late(key: RunKey, seconds: float) -> DeadlinePassed:
    return DeadlinePassed(
        f"No answer within {seconds:g} s; run {key.run} goes on.",
        f"See how far it is: `trunkline show {key.run}`.",
        run=key.run,
    )


def _answered(key: RunKey, fact: Answer) -> Answered:
    return Answered(key.run, key.conversation, fact.agent, fact.text, fact.error)


@contextlib.asynccontextmanager
async def _listening(bus: Bus, key: RunKey, hints: asyncio.Queue[Msg | None]) -> AsyncIterator[None]:
    async def hear(message: Msg) -> None:
        hints.put_nowait(message)

    def look() -> None:
        hints.put_nowait(None)

    subscriptions = [await bus.client.subscribe(subject, cb=hear) for subject in (key.everything, key.live)]
    bus.on_reconnect.append(look)
    try:
        yield
    finally:
        bus.on_reconnect.remove(look)
        for subscription in subscriptions:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()


async def _next(bus: Bus, view: _View, hints: asyncio.Queue[Msg | None]) -> list[StreamItem]:
    """What the next hint leads to; without one for a while, what the log has."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            hint = await hints.get()
    except TimeoutError:
        hint = None
    if hint is None:
        return view.recorded(await _if_there(bus, fold(bus, view.key.everything)) or [])
    if hint.subject == view.key.live:
        return view.delta(hint.data)
    if hint.subject == view.answer_subject:
        found = await _recorded(bus, view.answer_subject)
        return view.recorded([found]) if found else []
    return view.hinted(hint)


async def _recorded(bus: Bus, subject: str, pauses: Sequence[float] = _PAUSES) -> Event | None:
    """The answer as it was recorded, which may be another than the one that was announced."""
    for pause in pauses:
        if pause:
            await asyncio.sleep(pause)
        if found := await _if_there(bus, recorded(bus, subject)):
            return found
    return None


async def _if_there(bus: Bus, reading: Awaitable[T]) -> T | None:
    """None while the bus is away: it comes back, and whoever waits looks again. Raises BusUnavailable when it is closed
    for good.
    """
    try:
        return await reading
    except BusUnavailable:
        if bus.lost.is_set():
            raise
        return None


class _View:
    """What the watcher has seen: each step is shown once, and text anew when a later attempt writes it."""

    def __init__(self, key: RunKey) -> None:
        self.key = key
        self.answer_subject = str(key.step("answer", CLIENT))
        self._shown: set[str] = set()
        self._writing: tuple[str, int] | None = None

    def recorded(self, events: list[Event]) -> list[StreamItem]:
        return [item for event in events for item in self._event(event)]

    def hinted(self, message: Msg) -> list[StreamItem]:
        try:
            subject = Subject.parse(message.subject)
            fact = decode_fact(subject.kind, message.data)
        except WireViolation:
            return []
        if str(subject) in self._shown:
            return []
        self._shown.add(str(subject))
        item = describe(subject, fact)
        return [item] if item else []

    def delta(self, data: bytes) -> list[StreamItem]:
        try:
            delta = decode_delta(data)
        except WireViolation:
            return []
        writing = (delta.step, delta.attempt)
        restart = self._writing is not None and writing != self._writing
        self._writing = writing
        return [TextDelta(delta.text, restart)]

    def _event(self, event: Event) -> list[StreamItem]:
        name = str(event.subject)
        if name in self._shown:
            return []
        self._shown.add(name)
        if name == self.answer_subject and isinstance(event.fact, Answer):
            return [_answered(self.key, event.fact)]
        item = describe(event.subject, event.fact)
        return [item] if item else []
