"""How quickly agents have answered of late."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

WINDOW = timedelta(seconds=30)
ALL = ""


@dataclass
class Pace:
    """Answers of the last half minute, counted by the second; times are those of the log."""

    _seconds: dict[str, deque[tuple[datetime, int]]] = field(default_factory=lambda: defaultdict(deque))

    def answered(self, agent: str, at: datetime) -> None:
        for each in (agent, ALL):
            self._count(self._seconds[each], at.replace(microsecond=0))

    def per_second(self, now: datetime, agent: str = ALL) -> float | None:
        """An agent's, or that of all of them together. None when nothing was answered."""
        counted = [(second, count) for second, count in self._seconds.get(agent, ()) if now - second <= WINDOW]
        if not counted:
            return None
        elapsed = max(1.0, (now - counted[0][0]).total_seconds())
        return sum(count for _, count in counted) / elapsed

    def _count(self, seconds: deque[tuple[datetime, int]], second: datetime) -> None:
        if seconds and seconds[-1][0] >= second:
            newest, count = seconds.pop()
            seconds.append((newest, count + 1))
        else:
            seconds.append((second, 1))
        while second - seconds[0][0] > WINDOW:
            seconds.popleft()
