"""How long a reply may keep somebody waiting: to its first sign of life, from one to the next, and in all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from trunkline.contracts.dialog import ModelReply
from trunkline.contracts.errors import ModelFailed
from trunkline.models.failures import silent, stalled, timed_out

OnText = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """In seconds. A model that thinks first may be silent for long, so `first` is not `stall`."""

    first: float
    stall: float
    total: float


async def patiently(
    model: str, ask: Callable[[OnText], Awaitable[ModelReply]], on_text: OnText, patience: Patience
) -> ModelReply:
    """What `ask` comes to, unless it keeps us waiting. Raises ModelFailed, and what `ask` raises."""
    loop = asyncio.get_running_loop()
    end = loop.time() + patience.total
    clock = asyncio.timeout_at(min(end, loop.time() + patience.first))
    heard = False

    def alive(text: str) -> None:
        nonlocal heard
        heard = True
        if not clock.expired():
            clock.reschedule(min(end, loop.time() + patience.stall))
        on_text(text)

    try:
        async with clock:
            return await ask(alive)
    except TimeoutError as error:
        if not clock.expired():
            raise
        raise _too_long(model, patience, heard=heard, over=loop.time() >= end) from error


def _too_long(model: str, patience: Patience, *, heard: bool, over: bool) -> ModelFailed:
    if over:
        return timed_out(model, patience.total)
    return stalled(model, patience.stall) if heard else silent(model, patience.first)
