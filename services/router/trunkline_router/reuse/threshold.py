"""How alike two questions must be to get one answer: learnt from what people say of such answers. Pure."""

from __future__ import annotations

from collections import Counter

START = 0.95
LOWEST = 0.94
"""No praise brings it below."""
NEVER = 1.01
"""Above any cosine."""
MARGIN = 0.005
"""So much above an answer that was wrong it is, at least."""
STEP = 0.005
ENOUGH = 10
"""Good answers for each step down, of which one user's count `MOST_OF_ONE_USER` at most."""
MOST_OF_ONE_USER = 5


class Threshold:
    """Of one route. Give it the verdicts in the order of the log: what it comes to is a fold of them."""

    def __init__(self) -> None:
        self.value = START
        self._least = LOWEST
        self._good: Counter[str] = Counter()

    def judge(self, similarity: float, verdict: int, user: str) -> None:
        """What `user` says of an answer that was given to a question so alike: -1, 0 or 1."""
        if verdict < 0:
            self._least = min(NEVER, max(self._least, similarity + MARGIN))
            self.value = max(self.value, self._least)
            self._good.clear()
        elif verdict > 0:
            self._good[user] += 1
            if sum(min(count, MOST_OF_ONE_USER) for count in self._good.values()) >= ENOUGH:
                self.value = max(self._least, self.value - STEP)
                self._good.clear()
