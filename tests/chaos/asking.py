"""Questions without end, and what was acknowledged of them, and when: what a bus that loses nothing must answer."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from tests.conftest import wait_until
from trunkline.bus import Bus, append
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Request
from trunkline.contracts.subjects import CLIENT, ROUTER, TRUNK, RunKey

ANSWERS = f"trunk.*.*.*.answer.{CLIENT}.*"
PUBLISH_SECONDS = 60.0


@dataclass
class Asking:
    """`acked`: the moments, by the loop's clock, at which the bus acknowledged a run's request. `refused`: errors."""

    acked: dict[str, float] = field(default_factory=dict)
    refused: list[BusUnavailable] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _stopping: bool = False

    @contextlib.asynccontextmanager
    async def going_on(self, buses: Sequence[Bus], *, pause: float = 0.05) -> AsyncIterator[None]:
        """One asker on each bus asks, waits for the acknowledgement and `pause` seconds, and asks again.

        On leaving, each finishes what it has begun.
        """
        self._stopping = False
        askers = [asyncio.create_task(self._keep_asking(bus, pause), name="asker") for bus in buses]
        try:
            yield
        finally:
            self._stopping = True
            await asyncio.gather(*askers)

    def longest_gap(self, since: float, until: float) -> float:
        """Seconds within that span in which nothing was acknowledged."""
        moments = [since, *sorted(at for at in self.acked.values() if since < at < until), until]
        return max(after - before for before, after in itertools.pairwise(moments))

    async def some_more(self, count: int = 10) -> None:
        """Until `count` more are acknowledged."""
        wanted = len(self.acked) + count
        await wait_until(lambda: len(self.acked) >= wanted, f"{count} more acknowledgements", seconds=60)

    async def until_answered(self, bus: Bus, *, seconds: float = 60.0) -> None:
        """Until there are as many answers on the log as requests were acknowledged."""

        async def all_answered() -> bool:
            return await answers(bus) >= len(self.acked)

        await wait_until(all_answered, f"{len(self.acked)} answers", seconds=seconds)

    async def _keep_asking(self, bus: Bus, pause: float) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping:
            number = next(self._numbers)
            key = RunKey.checked(new_run_id(), new_conversation_id())
            request = question(number)
            try:
                await append(bus, key.step("request", ROUTER), request, wait=PUBLISH_SECONDS)
            except BusUnavailable as error:
                self.refused.append(error)
            else:
                self.acked[key.run] = loop.time()
            await asyncio.sleep(pause)


def question(number: int) -> Request:
    """For the agents of `sums.py`, in turn."""
    if number % 2:
        return Request(text=f"Add {number} and 1000", agent="adder", first=True)
    return Request(text=f"Double {number}", agent="doubler", first=True)


async def answers(bus: Bus) -> int:
    """How many answers to clients the log has; 0 while nobody can say."""
    try:
        answer = await bus.api(f"STREAM.INFO.{TRUNK}", {"subjects_filter": ANSWERS}, wait=2.0)
    except BusUnavailable:
        return 0
    return len(answer.get("state", {}).get("subjects") or {})
