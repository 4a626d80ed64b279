"""After a model call failed: ask the same model again, after a pause; or the next one; or nobody."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.contracts.messages import Failure

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 20.0
"""Seconds. The pause before a retry is drawn from 0 to a limit that doubles with each failure: full jitter."""


@dataclass(frozen=True, slots=True)
class NextTry:
    """`model` is asked after `pause` seconds."""

    model: str
    pause: float


class Tries:
    """The tries at one model call: `retries` further ones at each model of the `chain`, from the first to the last."""

    def __init__(self, chain: Sequence[str], retries: int) -> None:
        self.model = chain[0]
        self._chain = tuple(chain)
        self._retries = retries
        self._failures: Counter[str] = Counter()

    @property
    def failures(self) -> int:
        return self._failures.total()

    @property
    def models(self) -> list[str]:
        """Those that failed."""
        return list(self._failures)

    def ask(self, model: object) -> None:
        """`model` is to be asked now. One that is no longer in the chain is passed over."""
        if isinstance(model, str) and model in self._chain:
            self.model = model

    def failed(self) -> None:
        self._failures[self.model] += 1

    def following(self, failure: Failure, left: float) -> NextTry | None:
        """What to do about the last failure, in the `left` seconds. A model that wants to be left alone for longer than
        that is passed over.
        """
        if left <= 0:
            return None
        if failure.data.get("retryable") and self._failures[self.model] <= self._retries:
            pause = self._pause(float(failure.data.get("retry_after") or 0.0))
            if pause < left:
                return NextTry(self.model, pause)
        rest = self._chain[self._chain.index(self.model) + 1 :]
        return NextTry(rest[0], 0.0) if rest else None

    def _pause(self, retry_after: float) -> float:
        limit = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self._failures[self.model] - 1))
        return retry_after + random.uniform(0, limit)  # noqa: S311  # spreads retries, guards nothing
