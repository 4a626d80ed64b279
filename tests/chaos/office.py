"""The platform that is put under stress: several processes per service, a metered model, tools that leave marks."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import clerk
from tests.chaos.metered_agents import FOLDER, MODEL_SECONDS
from tests.platform import Platform

PROCESSES = ("router", "router-2", "tools", "tools-2", "agents", "agents-2", "agents-3", "ledger")
WRITES = frozenset({"post", "pay"})
TOOLS = ("look", "post", "pay")


@dataclass(frozen=True)
class Marks:
    """What the world outside has seen: `paid` by run and step, `began` and `effects` by call id; `first` is when a call
    was first begun, in Unix seconds.
    """

    paid: Mapping[str, Mapping[str, int]]
    began: Mapping[str, int]
    effects: Mapping[str, int]
    first: Mapping[str, float]


class Office:
    """`model_seconds`: how long a model call takes. `ack_wait`: seconds until a silent process is taken over from."""

    def __init__(self, folder: Path, *, model_seconds: float = 0.2, ack_wait: float | None = None) -> None:
        self.folder = folder
        self.files = (folder / "clerk.py", folder / "clerk_next.py")
        env = {FOLDER: str(folder), MODEL_SECONDS: str(model_seconds)}
        if ack_wait is not None:
            env["TRUNKLINE_ACK_WAIT"] = str(ack_wait)
        self.platform = Platform(
            folder, self.files[0], services=PROCESSES, env=env, modules={"agents": "tests.chaos.metered_agents"}
        )

    async def start(self) -> None:
        """Two versions of the agent lie ready, which differ in nothing but their bytes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(clerk.__file__, self.files[0])
        self.files[1].write_text(self.files[0].read_text() + "# the next version\n")
        await self.platform.start()

    @property
    def marks(self) -> Marks:
        paid: dict[str, Counter[str]] = defaultdict(Counter)
        for run, step, _process in self._lines("paid"):
            paid[run][step] += 1
        first: dict[str, float] = {}
        for call, _process, at in self._lines("began"):
            first[call] = min(float(at), first.get(call, float(at)))
        return Marks(paid, self._count("began"), self._count("effects"), first)

    def executors(self) -> dict[str, list[int]]:
        """Which processes had a call begun, by call id."""
        found: dict[str, list[int]] = defaultdict(list)
        for call, process, _at in self._lines("began"):
            found[call].append(int(process))
        return found

    def done(self, call: str) -> bool:
        """Whether the effect of a call has happened: what a person would look up."""
        return self._count("effects")[call] > 0

    def _count(self, book: str) -> Counter[str]:
        return Counter(call for call, _process, _at in self._lines(book))

    def _lines(self, book: str) -> list[list[str]]:
        file = self.folder / book
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []
