"""The hidden agent that gets a request with several questions: it asks whoever each is for, and gives one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from trunkline import Agent, Run
from trunkline.contracts.errors import RunFailed
from trunkline.contracts.messages import Failure, Part
from trunkline.contracts.registry import TOGETHER
from trunkline.run.ending import run_failed

together = Agent(
    TOGETHER,
    description="Takes a request with questions for several agents, asks each of them, and gives one answer.",
    hidden=True,
    reuse="off",
)

LONGEST_HEADING = 80
"""Characters."""


@together.flow
async def answer_all(run: Run) -> str:
    """The answers in the order of their questions. Raises RunFailed when there is none."""
    if not run.parts:
        raise RunFailed(
            f"{TOGETHER} answers only requests in which the router finds several questions.",
            "Ask without --agent, and the router decides who answers.",
        )
    outcomes = await asyncio.gather(*(run.outcome(part.agent, part.text, tier=part.tier) for part in run.parts))
    failures = [outcome.error for outcome in outcomes if outcome.error]
    if len(failures) == len(outcomes):
        raise _none_answered(run.parts, failures)
    return "\n\n".join(
        f"{number}. {_heading(part)}\n{_failed(part, outcome.error) if outcome.error else outcome.value}"
        for number, (part, outcome) in enumerate(zip(run.parts, outcomes, strict=True), start=1)
    )


def _none_answered(parts: Sequence[Part], failures: Sequence[Failure]) -> RunFailed:
    """What the first failure says to do, when all are of one kind."""
    said = " ".join(f"{part.agent}: {_said(failure)}" for part, failure in zip(parts, failures, strict=True))
    what = f"None of the {len(failures)} questions was answered. {said}"
    if len({failure.code for failure in failures}) == 1:
        first = failures[0]
        alike = Failure(code=first.code, message=what, hint=first.hint, data=first.data)
        return run_failed(alike, agent=parts[0].agent)
    return RunFailed(what, "Ask them one by one.")


def _heading(part: Part) -> str:
    line = " ".join(part.text.split())
    return line if len(line) <= LONGEST_HEADING else f"{line[: LONGEST_HEADING - 1].rstrip()}…"


def _failed(part: Part, failure: Failure) -> str:
    return f"No answer, {part.agent} failed: {_said(failure)}"


def _said(failure: Failure) -> str:
    return f"{failure.message} {failure.hint}".strip()
