"""A circuit breaker: a provider that keeps failing is left alone for a while, then asked once, to see if it is back.

closed ── too many failures in a row ──▶ open ── pause ──▶ half-open ── the probe succeeds ──▶ closed
                                           ▲                   │
                                           └─ the probe fails ─┘
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog

from trunkline.contracts.errors import CircuitOpen, ModelFailed

log = structlog.get_logger("trunkline.models")

PROBE_SECONDS = 1.0
"""When to ask again while a probe is under way: nobody knows how long it takes."""


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Opens after `failures` in a row that may pass, within `window` seconds, for `pause` seconds."""

    failures: int = 5
    window: float = 30.0
    pause: float = 15.0


class Breaker:
    """One provider's, for all calls of this process. `clock` gives seconds that never go back."""

    def __init__(
        self, provider: str, settings: BreakerSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._provider = provider
        self._settings = settings
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=settings.failures)
        self._opened_at: float | None = None
        self._probing = False

    @contextlib.contextmanager
    def guarding(self, model: str) -> Iterator[None]:
        """Around one call. Raises CircuitOpen, and nothing is asked, while the provider is left alone.

        A failure for good, such as a refused request, is an answer too; a call that was cancelled says nothing.
        """
        probe = self._admit(model)
        try:
            yield
        except ModelFailed as error:
            self._heard(alive=not error.data.get("retryable"), probe=probe)
            raise
        except BaseException:
            self._probing = self._probing and not probe
            raise
        self._heard(alive=True, probe=probe)

    @property
    def trouble(self) -> str:
        """Why the provider is not asked now; empty when it is."""
        if self._opened_at is None:
            return ""
        wait = self._wait(self._opened_at)
        how_long = f"not asked for another {wait:.0f} s" if wait > 0 else "being tried again"
        return f"{self._provider} is {how_long}: it failed {self._settings.failures} times in a row."

    def _admit(self, model: str) -> bool:
        """Whether this call is the probe."""
        if self._opened_at is None:
            return False
        wait = self._wait(self._opened_at)
        if wait > 0 or self._probing:
            raise CircuitOpen(
                f"{model} was not asked: {self.trouble}",
                f"Ask again in {max(wait, PROBE_SECONDS):.0f} s, or name a second model for such times.",
                retryable=False,
                spent=False,
                retry_after=max(wait, PROBE_SECONDS),
            )
        log.info("a provider is tried again", action="breaker_half_open", provider=self._provider)
        self._probing = True
        return True

    def _heard(self, *, alive: bool, probe: bool) -> None:
        """What a call that began before the breaker opened comes to changes nothing."""
        if probe:
            self._probing = False
            self._close() if alive else self._open()
        elif self._opened_at is None and alive:
            self._failures.clear()
        elif self._opened_at is None:
            self._failures.append(self._clock())
            if self._too_many():
                self._open()

    def _too_many(self) -> bool:
        full = len(self._failures) == self._settings.failures
        return full and self._failures[-1] - self._failures[0] <= self._settings.window

    def _open(self) -> None:
        self._opened_at = self._clock()
        pause = self._settings.pause
        log.warning("a provider is left alone", action="breaker_opened", provider=self._provider, seconds=pause)

    def _close(self) -> None:
        self._opened_at = None
        self._failures.clear()
        log.info("a provider is back", action="breaker_closed", provider=self._provider)

    def _wait(self, opened_at: float) -> float:
        return opened_at + self._settings.pause - self._clock()
