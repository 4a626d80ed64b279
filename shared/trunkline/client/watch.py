"""Watching one run. What core NATS brings is a hint, quick and not guaranteed; what counts is read from the log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from trunkline.bus import Bus, fold, recorded
from trunkline.client.progress import Answered, StreamItem, TextDelta, describe
from trunkline.contracts.codec import Event, decode_delta, decode_fact
from trunkline.contracts.errors import DeadlinePassed, WireViolation
from trunkline.contracts.messages import Answer
from trunkline.contracts.subjects import CLIENT, RunKey, Subject

if TYPE_CHECKING:
    from nats.aio.msg import Msg

LOOK_SECONDS = 3.0
"""How long without any hint until the log itself is looked at."""


async def watch(
    bus: Bus,
    key: RunKey,
    publish: Callable[[], Awaitable[None]] | None,
    seconds: float,
    *,
    progress: bool = True,
) -> AsyncIterator[StreamItem]:
    """Everything about the run, each step once, ending with its answer; or, without `progress`, the answer alone.

    `publish` asks, once we are listening. Raises DeadlinePassed after `seconds`.
    """
    hints: asyncio.Queue[Msg | None] = asyncio.Queue()
    view = _View(key, progress=progress)
    async with _listening(bus, view.subjects, hints):
        if publish is None:
            hints.put_nowait(None)
        else:
            await publish()
        try:
            async with asyncio.timeout(seconds):
                while True:
                    for item in await _next(bus, view, hints):
                        yield item
                        if isinstance(item, Answered):
                            return
        except TimeoutError as error:
            raise DeadlinePassed(
                f"No answer within {seconds:g} s; run {key.run} goes on.",
                f"See how far it is: `trunkline show {key.run}`.",
            ) from error


@contextlib.asynccontextmanager
async def _listening(bus: Bus, subjects: Sequence[str], hints: asyncio.Queue[Msg | None]) -> AsyncIterator[None]:
    async def hear(message: Msg) -> None:
        hints.put_nowait(message)

    def look() -> None:
        hints.put_nowait(None)

    subscriptions = [await bus.client.subscribe(subject, cb=hear) for subject in subjects]
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
        return view.recorded(await fold(bus, view.subjects[0]))
    if hint.subject == view.key.live:
        return view.delta(hint.data)
    if hint.subject == view.answer_subject:
        found = await _answer(bus, view)
        return view.recorded([found]) if found else []
    return view.hinted(hint)


async def _answer(bus: Bus, view: _View) -> Event | None:
    """The answer as it was recorded, which may be another than the one that was announced."""
    for pause in (0.0, 0.002, 0.01, 0.05, 0.2):
        await asyncio.sleep(pause)
        found = await recorded(bus, view.answer_subject)
        if found:
            return found
    return None


class _View:
    """What the watcher has seen: each step is shown once, and text anew when a later attempt writes it."""

    def __init__(self, key: RunKey, *, progress: bool) -> None:
        self.key = key
        self.answer_subject = str(key.step("answer", CLIENT))
        self.subjects = (key.everything, key.live) if progress else (self.answer_subject,)
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
            fact = event.fact
            return [Answered(self.key.run, self.key.conversation, fact.agent, fact.text, fact.error)]
        item = describe(event.subject, event.fact)
        return [item] if item else []
