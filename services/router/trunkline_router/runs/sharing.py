"""Who else asks what a run is about to answer. Pure.

A run leads when its task says under which key its answer may be given to others; who asks the same meanwhile waits for
it. Runs that are waited for are known by the sequence of their request, which says nothing to a user who reads it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from trunkline.contracts.messages import Note
from trunkline.contracts.subjects import RunKey

SHARING = "waiting_for_same"
"""What the router's note says of a question that waits for a run which answers the same one."""
BEHIND = "behind"
"""In that note: the sequence of the other run's request."""


def waits(sequence: int) -> Note:
    return Note(what=SHARING, data={BEHIND: sequence})


def behind(note: Note) -> int:
    """0 for a note that does not say it."""
    said = note.data.get(BEHIND)
    return said if type(said) is int and said > 0 else 0


class Sharing:
    """Requests are told apart by their sequence on the log."""

    def __init__(self) -> None:
        self._keys: dict[RunKey, str] = {}
        self._leaders: dict[str, dict[RunKey, int]] = defaultdict(dict)
        self._waiting: dict[int, dict[RunKey, None]] = defaultdict(dict)

    def lead(self, cache: str, run: RunKey, sequence: int) -> None:
        """The run answers what is asked under `cache`, or is about to: its task need not stand on the log yet."""
        self.follow(run)
        if cache:
            self._keys[run] = cache
            self._leaders[cache][run] = sequence

    def follow(self, run: RunKey) -> None:
        """It does not lead any more."""
        cache = self._keys.pop(run, "")
        if cache:
            del self._leaders[cache][run]
            if not self._leaders[cache]:
                del self._leaders[cache]

    def leaders(self, cache: str) -> dict[RunKey, int]:
        return dict(self._leaders.get(cache, {}))

    def wait(self, run: RunKey, sequence: int) -> None:
        self._waiting[sequence][run] = None

    def waiting(self, sequence: int) -> Iterable[RunKey]:
        """Who waits for the run of this request."""
        return tuple(self._waiting.get(sequence, ()))

    def forget(self, run: RunKey, *, asked: int, behind: int) -> None:
        """It has ended; whoever waited for it does not any more."""
        self.follow(run)
        self._waiting.pop(asked, None)
        if run in self._waiting.get(behind, {}):
            del self._waiting[behind][run]
            if not self._waiting[behind]:
                del self._waiting[behind]
