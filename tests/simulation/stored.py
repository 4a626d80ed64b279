"""What the simulated server stores and answers, and who of its replicas knows of it."""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Reply:
    data: bytes = b""
    headers: dict[str, str] | None = None


Answer = Callable[[list[Reply]], None]


@dataclass(frozen=True, slots=True)
class Stored:
    """A message of a stream; `at` is Unix seconds."""

    sequence: int
    subject: str
    data: bytes
    headers: Mapping[str, str]
    at: float

    @property
    def time(self) -> str:
        return timestamp(self.at)


class Replicas:
    """With `replicated`, whoever reads is answered by one of three servers, of which two may be behind by `lag`."""

    def __init__(self, world: World, *, replicated: bool, lag: float) -> None:
        self._world = world
        self._lag = lag
        self._applied: tuple[list[float], ...] = ([], []) if replicated else ()

    def stored(self) -> None:
        """The leader has one message more."""
        for applied in self._applied:
            lag = self._world.random.random() ** 4 * self._lag
            applied.append(max(self._world.now + lag, applied[-1] if applied else 0.0))

    def seen(self, last_sequence: int) -> int:
        """Up to which sequence whoever answers now knows the stream."""
        replica = self._world.random.randrange(3) if self._applied else 2
        return last_sequence if replica == 2 else bisect_right(self._applied[replica], self._world.now)


@functools.lru_cache(maxsize=200_000)  # the same subjects come in seed after seed
def matches(pattern: str, subject: str) -> bool:
    """Whether a subject is among those that a pattern with `*` and `>` names."""
    wanted, tokens = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, tokens = wanted[:-1], tokens[: len(wanted) - 1] if len(tokens) >= len(wanted) else []
    return len(wanted) == len(tokens) and all(want in ("*", token) for want, token in zip(wanted, tokens, strict=True))


@functools.lru_cache(maxsize=1000)
def timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")


def found(message: Stored) -> Reply:
    """As a direct get gives it."""
    place = {"Nats-Subject": message.subject, "Nats-Sequence": str(message.sequence), "Nats-Time-Stamp": message.time}
    return Reply(message.data, {**message.headers, **place})


def batch_of(messages: Sequence[Stored], left: int = 0) -> list[Reply]:
    """As a batch of direct gets gives them, with how many are `left`."""
    if not messages:
        return [Reply(headers={"Status": "404", "Description": "No Results"})]
    end = {"Status": "204", "Description": "EOB", "Nats-Num-Pending": str(left)}
    return [*(found(each) for each in messages), Reply(headers=end)]


def direct(message: Stored | None) -> Reply:
    return found(message) if message else Reply(headers={"Status": "404", "Description": "Message Not Found"})


def json(value: dict[str, Any]) -> Reply:
    return Reply(orjson.dumps(value))
