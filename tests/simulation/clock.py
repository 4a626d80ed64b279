"""Wall clocks of simulated processes: what `datetime.now` says in the product's modules that ask it."""

from __future__ import annotations

import asyncio.events
import contextlib
import functools
import inspect
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from types import ModuleType
from typing import Self

from tests.simulation.world import MIDNIGHT, Process


class _Virtual(datetime):
    """The time of the process whose code is running, by its own clock."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        process = asyncio.events._get_running_loop()
        assert isinstance(process, Process)
        return cls.fromtimestamp(MIDNIGHT, tz) + timedelta(seconds=process.world.now + process.skew)


@contextlib.contextmanager
def virtual_clocks() -> Iterator[None]:
    """While inside, simulated code sees virtual time."""
    asking = _asking()
    for module in asking:
        module.datetime = _Virtual  # type: ignore[attr-defined]  # they have it, or would not be among them
    try:
        yield
    finally:
        for module in asking:
            module.datetime = datetime  # type: ignore[attr-defined]  # see above


@functools.cache
def _asking() -> tuple[ModuleType, ...]:
    ours = [module for name, module in sorted(sys.modules.items()) if name.startswith("trunkline")]
    having = [module for module in ours if getattr(module, "datetime", None) is datetime]
    return tuple(module for module in having if "datetime.now(" in inspect.getsource(module))
