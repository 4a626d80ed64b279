"""Names of steps: numbers in the order in which the flow asks, the same at every takeover.

A task that the flow starts (say, inside `asyncio.gather`) gets a number itself, and counts below it: `3_1`, `3_2`.
So branches that run side by side keep their names, however long each of them waits.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass

from trunkline.contracts.ids import StepName


@dataclass
class _Scope:
    prefix: str
    owner: asyncio.Task[object] | None
    count: int = 0

    def take(self) -> str:
        self.count += 1
        return f"{self.prefix}{self.count}"


_current: ContextVar[_Scope] = ContextVar("trunkline_steps")


def begin_naming() -> None:
    """Start at 1 in the task that calls this."""
    _current.set(_Scope("", asyncio.current_task()))


def next_step() -> StepName:
    """The next name. Raises LookupError outside a flow."""
    scope = _current.get()
    task = asyncio.current_task()
    if scope.owner is not task:
        scope = _Scope(f"{scope.take()}_", task)
        _current.set(scope)
    return StepName(scope.take())
