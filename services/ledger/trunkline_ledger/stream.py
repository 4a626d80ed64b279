"""The log as the ledger needs it: what the bus gives, and nothing that only a bus can give."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class StoredMessage(Protocol):
    """One message as the stream has it; `at` is the server's time."""

    @property
    def subject(self) -> str: ...

    @property
    def sequence(self) -> int: ...

    @property
    def at(self) -> datetime: ...

    @property
    def data(self) -> bytes: ...


Follow = Callable[[int], AsyncIterator[Sequence[StoredMessage]]]
"""Batches in stream order behind a sequence; an empty one says that nothing more is stored now."""

Resolve = Callable[[bytes], Awaitable[bytes]]
"""The body that a stored one stands for. Raises BadMessage when it is gone for good, TryAgain when only for now."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Which log it is: two streams of one name differ in the time of their creation."""

    name: str
    created: datetime
    last_sequence: int = 0


async def as_stored(body: bytes) -> bytes:
    """The Resolve of a log whose bodies are all in their messages."""
    return body
