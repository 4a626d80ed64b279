"""Trunkline runs LLM agents in production on one message bus.

Every step of every run is one message on one log. Everything else is a reader of that log.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# At once, not on demand: the function has its module's name, and must win.
from trunkline.tool import Done, NotDone, Tool, call_id, tool

if TYPE_CHECKING:
    from trunkline.agent import Agent, Say
    from trunkline.client import Client
    from trunkline.contracts.errors import TrunklineError, TryAgain
    from trunkline.run import Run

__all__ = [
    "Agent",
    "Client",
    "Done",
    "NotDone",
    "Run",
    "Say",
    "Tool",
    "TrunklineError",
    "TryAgain",
    "call_id",
    "tool",
]
__version__ = "0.1.0"

_HOMES = {
    "Agent": ".agent",
    "Client": ".client",
    "Run": ".run",
    "Say": ".agent",
    "TrunklineError": ".contracts.errors",
    "TryAgain": ".contracts.errors",
}


def __getattr__(name: str) -> Any:  # whatever the name stands for
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
