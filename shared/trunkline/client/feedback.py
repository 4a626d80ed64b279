"""A user's verdict on an answer, and who should have given it. Whoever changes their mind says so again."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.bus import Bus, append, fold
from trunkline.bus.registry import AGENTS
from trunkline.bus.roster import cards_now
from trunkline.contracts.errors import CallerMistake, InvalidArguments, NotFound, UnknownAgent
from trunkline.contracts.ids import checked_token
from trunkline.contracts.messages import Feedback
from trunkline.contracts.registry import AgentCard
from trunkline.contracts.subjects import RunKey, filter_of
from trunkline.contracts.verdicts import MOST_VERDICTS, feedback_step

LEDGER = "ledger"
LONGEST_COMMENT = 4_000


@dataclass(frozen=True, slots=True)
class Given:
    """A verdict as it stands on the log; `number` counts those of the same user on the same run, the newest counts."""

    key: RunKey
    feedback: Feedback
    number: int


async def give_feedback(bus: Bus, tenant: str, run: str, feedback: Feedback) -> Given:
    """Raises InvalidArguments, InvalidName, NotFound, UnknownAgent, CallerMistake, BusUnavailable."""
    _check(feedback)
    if feedback.agent:
        await _check_agent(bus, feedback.agent)
    events = await fold(
        bus,
        *(filter_of(tenant=tenant, run=checked_token(run, "run"), kind=kind) for kind in ("answer", "feedback")),
    )
    answer = next((event for event in events if event.subject.kind == "answer"), None)
    if answer is None:
        raise NotFound(f"Run {run} has no answer to give a verdict on.", "`trunkline runs` lists the runs, and theirs.")
    key = RunKey.of(answer.subject)
    before = [event for event in events if isinstance(event.fact, Feedback) and event.fact.by == feedback.by]
    for number in range(len(before) + 1, MOST_VERDICTS + 1):
        step = feedback_step(feedback.by, number)
        if (await append(bus, key.step("feedback", LEDGER, step), feedback)).own:
            return Given(key, feedback, number)
    raise CallerMistake(
        f"Run {run} has {MOST_VERDICTS} verdicts of the same user already, and the last one counts.",
        "Ask again, and give a verdict on the new answer.",
    )


def _check(feedback: Feedback) -> None:
    if feedback.verdict not in {-1, 0, 1}:
        raise InvalidArguments(f"A verdict is -1, 0 or 1, not {feedback.verdict!r}.", "1 is good, -1 bad, 0 neutral.")
    if len(feedback.comment) > LONGEST_COMMENT:
        raise InvalidArguments(
            f"The comment has {len(feedback.comment):,} characters; at most {LONGEST_COMMENT:,} are kept.",
            "Say it in fewer words.",
        )


async def _check_agent(bus: Bus, agent: str) -> None:
    checked_token(agent, "agent")
    known = sorted({present.card.agent for present in await cards_now(bus, AGENTS, AgentCard)})
    if agent not in known:
        raise UnknownAgent(
            f"There is no agent {agent!r} that could have answered.", f"Known now: {', '.join(known) or 'none'}."
        )
