"""The agents that take part: one in the built-in loop, one that is delegated to, and two with flows of their own."""

from __future__ import annotations

import asyncio

from tests.simulation.questions import BOOK, LOOK, label_of
from trunkline import Agent, Run
from trunkline.agent import OnDivergence, OverBudgetPolicy

SPOKEN = "small"
BESIDE = "large"
DIVERGENT = "divergent"
"""The version of a worker whose code asks for something else."""


def agents(version: str, on_divergence: OnDivergence, over_budget: OverBudgetPolicy) -> dict[str, Agent]:
    """As a worker has them whose code is of this version."""
    other = "otherwise" if version == DIVERGENT else ""
    solo = _agent("solo", on_divergence, over_budget, other)
    aide = _agent("aide", on_divergence, over_budget, other)
    fan = _agent("fan", on_divergence, over_budget)
    chain = _agent("chain", on_divergence, over_budget)

    @fan.flow
    async def fan_out(run: Run) -> str:
        label = label_of(run.text)
        plan = await run.model(f"{label}|")
        seen, said, nested = await asyncio.gather(
            run.call(LOOK, key=f"{label}.1.0{other}"), run.model(f"{label}|", model=BESIDE), _branch(run, label)
        )
        return f"{plan.text}; {seen}; {said.text}; {nested}"

    @chain.flow
    async def one_by_one(run: Run) -> str:
        label = label_of(run.text)
        seen = await run.call(BOOK if other else LOOK, key=f"{label}.0.0{other}")
        asked = await run.ask("aide", f"{label}.1.0|l")
        said = await run.model(f"{label}|")
        booked = await run.call(BOOK, key=f"{label}.2.0")
        return f"{seen}; {asked}; {said.text}; {booked}"

    return {agent.name: agent for agent in (solo, aide, fan, chain)}


async def _branch(run: Run, label: str) -> str:
    seen = await run.call(LOOK, key=f"{label}.1.1")
    booked = await run.call(BOOK, key=f"{label}.2.0")
    return f"{seen}; {booked}"


def _agent(name: str, on_divergence: OnDivergence, over_budget: OverBudgetPolicy, instructions: str = "") -> Agent:
    return Agent(
        name,
        instructions=instructions,
        model=SPOKEN,
        tools=[LOOK, BOOK],
        delegates=[] if name == "aide" else ["aide"],
        on_divergence=on_divergence,
        over_budget=over_budget,
    )
