"""A question that was answered before is answered at once; one that is being answered waits for that."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from msgspec.structs import replace

from trunkline.bus import Bus, append, last
from trunkline.bus.clock import ServerClock
from trunkline.bus.fold import subject_at
from trunkline.cache import CacheKey
from trunkline.contracts.errors import BadSubject
from trunkline.contracts.messages import Answer, Request, Task
from trunkline.contracts.subjects import CLIENT, ROUTER, RunKey, Subject
from trunkline_router.reuse.alike import Alike
from trunkline_router.reuse.answers import Answers, Hit, entry_of
from trunkline_router.reuse.keys import Question
from trunkline_router.runs.open_runs import OpenRuns
from trunkline_router.runs.sharing import waits

log = structlog.get_logger("trunkline.router")

SAVED = "saved"
"""The step of the router's note that says which answer was given again."""
SHARED = "shared"
"""The step of its note that says for which run this one waits."""


@dataclass
class Again:
    bus: Bus
    open: OpenRuns
    answers: Answers
    alike: Alike
    clock: ServerClock

    async def serves(self, key: RunKey, request: Request, question: Question, *, paid: str) -> bool:
        """Whether the run has its answer, or waits for another run's; else it must be given to an agent, at once: this
        returns False, and nobody else was asked the same at that moment. `paid`: what it cost to decide, US dollars.
        Raises BusUnavailable.
        """
        if request.fresh:
            return False
        run = self.open.get(key)
        waited = run.behind if run else 0
        hit = await self._of_leader(waited, question.key) if waited else None
        hit = hit or await self.answers.find(*question.keys) or await self.alike.find(question)
        if hit:
            await self._give(key, hit, paid)
            return True
        leader = 0 if waited else self.open.leader(question.key, but=key)
        if leader:
            await append(self.bus, key.step("note", ROUTER, SHARED), waits(leader))
        return bool(leader)

    async def _give(self, key: RunKey, hit: Hit, paid: str) -> None:
        await append(self.bus, key.step("note", ROUTER, SAVED), hit.note(self.clock.now()))
        await append(self.bus, key.step("answer", CLIENT), replace(hit.answer, cost=paid or hit.answer.cost))
        log.info("answered again", action="answered_again", run=key.run, of=hit.given.run)

    async def _of_leader(self, sequence: int, cache: CacheKey) -> Hit | None:
        """The answer of the run whose request stands there, if it has one that may be kept under `cache`."""
        try:
            leader = RunKey.of(Subject.parse(await subject_at(self.bus, sequence)))
        except BadSubject:
            return None
        task = await last(self.bus, leader.step("task", ROUTER).any_name)
        answer = await last(self.bus, str(leader.step("answer", CLIENT)))
        bears_it = task and isinstance(task.fact, Task) and task.fact.cache == cache
        if not bears_it or not answer or not isinstance(answer.fact, Answer):
            return None
        if answer.fact.error or not answer.fact.reusable:
            return None
        return self.answers.hit(cache, entry_of(leader, answer.fact, answer.at))
