"""How long to wait before a process that left is started again."""

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Doubles from `first` to `most` seconds; a life of `healthy` seconds makes it start anew."""

    first: float = 0.2
    most: float = 10.0
    healthy: float = 30.0
    _next: float = 0.0

    def after(self, lived: float) -> float:
        """The pause after a life of `lived` seconds."""
        pause = self.first if lived >= self.healthy or not self._next else self._next
        self._next = min(pause * 2, self.most)
        return pause
