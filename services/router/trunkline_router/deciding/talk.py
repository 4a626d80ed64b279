"""The agent that a conversation is with: when it keeps it, and who that is."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from trunkline.bus import Bus, fold, last
from trunkline.contracts.messages import Answer, Task
from trunkline.contracts.registry import TOGETHER
from trunkline.contracts.subjects import RunKey
from trunkline_router.classifiers.classify import Verdict

CONVERSATION = "conversation"
"""As a route's source: the agent is the one that answered last."""
MARGIN = 0.1
"""By how much another agent's share must be greater, so that it gets the next question of a conversation."""
LEANING_MARGIN = 0.8
"""The same for a question that is worded as if it went on. See decision 0017 for what other values give."""
MOST = 10_000
"""Conversations whose agent is remembered; of others the log is asked."""


@dataclass(frozen=True, slots=True)
class Talk:
    """`partner` is empty where there is none; `leaning`: the question is worded as if it went on."""

    partner: str = ""
    leaning: bool = False

    def holds(self, verdict: Verdict, generalist: str | None) -> bool:
        """Whether nobody is clearly better than the partner. What is nobody's is the generalist's."""
        rival = verdict.label or generalist or self.partner
        margin = LEANING_MARGIN if self.leaning else MARGIN
        return bool(self.partner) and _share(verdict, rival) - _share(verdict, self.partner) < margin


def _share(verdict: Verdict, agent: str) -> float:
    """How likely the question is an agent's; the generalist has what the others leave."""
    left = max(0.0, 1.0 - sum(verdict.scores.values()))
    return verdict.scores.get(agent, left)


class Partners:
    """Who was given each conversation's newest question, as far as the log has been read. Bounded."""

    def __init__(self) -> None:
        self._agents: OrderedDict[tuple[str, str], str] = OrderedDict()

    def placed(self, key: RunKey, agent: str, task: Task) -> None:
        """A task of the log; one of a delegated run says nothing of whom the user talks to."""
        if task.parent:
            return
        conversation = key.tenant, key.conversation
        self._agents[conversation] = _spoken_to(agent, task)
        self._agents.move_to_end(conversation)
        if len(self._agents) > MOST:
            self._agents.popitem(last=False)

    def get(self, key: RunKey) -> str | None:
        conversation = key.tenant, key.conversation
        if conversation in self._agents:
            self._agents.move_to_end(conversation)
        return self._agents.get(conversation)


async def partner_of(bus: Bus, key: RunKey, known: Partners) -> str:
    """Who answered last in the run's conversation; empty when nobody did. Raises BusUnavailable."""
    partner = known.get(key)
    return await _on_the_log(bus, key) if partner is None else partner


async def _on_the_log(bus: Bus, key: RunKey) -> str:
    """By the conversation's last answer; when that is no agent's own, by its last task."""
    _, answers, tasks = key.around[:3]
    answer = await last(bus, answers)
    if answer and isinstance(answer.fact, Answer) and answer.fact.agent not in ("", TOGETHER):
        return answer.fact.agent
    for event in reversed(await fold(bus, tasks)):
        if isinstance(event.fact, Task) and not event.fact.parent and event.subject.run != key.run:
            return _spoken_to(event.subject.name, event.fact)
    return ""


def _spoken_to(agent: str, task: Task) -> str:
    """Of several, the one whose question came last."""
    return task.parts[-1].agent if task.parts else agent
