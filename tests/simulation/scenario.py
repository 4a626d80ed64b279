"""What a seed draws: who asks what, who is there to work, what goes wrong and when."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.simulation.agents import DIVERGENT
from tests.simulation.world import MORNING
from trunkline.agent import OnDivergence, OverBudgetPolicy
from trunkline.budget import Kind
from trunkline.prices import Money

FaultKind = Literal["crash", "freeze", "cut", "duplicate", "again", "anew", "cancel"]
_FAULTS: tuple[FaultKind, ...] = ("crash", "crash", "crash", "freeze", "freeze", "cut", "duplicate", "again", "anew")
_SOLO = ("", "l", "b", "lb", "l,b", "b,l", "bb", "a", "ll,b", "a,b", "lbl")
INPUT_PICO, OUTPUT_PICO = 1_000_000, 10_000_000
"""What each model charges for a token, in picodollars."""
A_CALL = 4200 * OUTPUT_PICO
"""A little more than any call may cost."""
_KINDS: tuple[Kind, ...] = ("run", "conversation", "user-day", "agent-day", "tenant-day")
_SHARE = {"solo": 0.7, "fan": 0.15, "chain": 0.15}


@dataclass(frozen=True, slots=True)
class Fault:
    """Happens once so many events have passed."""

    event: int
    kind: FaultKind


@dataclass(frozen=True, slots=True)
class Asked:
    """A question; `first`: it is the first one of its conversation, and says all there is to know."""

    at: float
    run: str
    conversation: str
    agent: str
    text: str
    first: bool
    user: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """`workers` are the versions of their code. `loss` and `delay` are chances per message, `flaky` and `slow` per
    model call and tool call; slow ones take about as long as AckWait, or longer. `lag`: the most seconds by which a
    replica is behind; `skew`: by which a clock is wrong. `limits`: of the budgets; without any, nobody reserves.
    """

    seed: int
    asked: tuple[Asked, ...]
    workers: tuple[str, ...]
    executors: int
    slots: int
    replicated: bool
    lag: float
    loss: float
    delay: float
    skew: float
    flaky: float
    reconciles: bool
    on_divergence: OnDivergence
    faults: tuple[Fault, ...]
    slow: float = 0.03
    limits: Mapping[Kind, Money] = field(default_factory=dict)
    over_budget: OverBudgetPolicy = "refuse"
    refunders: int = 1
    to_midnight: float = MORNING

    @property
    def agents(self) -> tuple[str, ...]:
        """Those who are asked, by users or by one another."""
        delegating = any(each.agent == "chain" or "a" in each.text.partition("|")[2] for each in self.asked)
        return tuple(sorted({each.agent for each in self.asked} | ({"aide"} if delegating else set())))

    @property
    def calm(self) -> bool:
        """Nothing goes wrong."""
        return not self.faults and not self.loss and not self.delay

    @property
    def divergent(self) -> bool:
        return DIVERGENT in self.workers


def draw(seed: int) -> Scenario:
    chance = random.Random(f"scenario {seed}")
    runs = chance.choices((1, 2, 3), (0.7, 0.22, 0.08))[0]
    spending = random.Random(f"spending {seed}")
    limits = _limits(spending)
    asked = tuple(_asked(chance, number, spending.choice(("", "ann"))) for number in range(1, runs + 1))
    replicated = chance.random() < 0.4
    return Scenario(
        seed=seed,
        asked=asked,
        workers=_workers(chance),
        executors=chance.choice((1, 2)),
        slots=chance.choice((1, 2, 16)),
        replicated=replicated,
        lag=chance.choice((0.005, 0.5, 15.0, 60.0)) if replicated else 0.0,
        loss=chance.choice((0.0, 0.0, 0.01, 0.05)),
        delay=chance.choice((0.0, 0.0, 0.02)),
        skew=chance.choice((0.0, 0.0, 0.0, 300.0)),
        flaky=chance.choice((0.0, 0.0, 0.0, 0.2)),
        reconciles=chance.random() < 0.5,
        on_divergence=chance.choice(("fail", "old")),
        faults=_sorted([*_faults(chance, runs), *(_late_faults(spending) if limits else ())]),
        limits=limits,
        over_budget=spending.choice(("refuse", "cheaper")),
        refunders=spending.choice((1, 1, 2)),
        to_midnight=spending.choice((MORNING, MORNING, spending.uniform(0, 1), spending.uniform(0, 60))),
    )


def _asked(chance: random.Random, number: int, user: str) -> Asked:
    run = f"r{number}"
    agent = chance.choices(list(_SHARE), list(_SHARE.values()))[0]
    turns = chance.choice(_SOLO) if agent == "solo" else ""
    alone = chance.random() < 0.6
    return Asked(chance.uniform(0, 0.3), run, f"c{number}" if alone else "c", agent, f"{run}|{turns}", alone, user)


def _workers(chance: random.Random) -> tuple[str, ...]:
    others = ["1"] * chance.choice((1, 1, 2))
    first = chance.choices(("1", "2", DIVERGENT), (0.75, 0.12, 0.13))[0]
    return (first, *others)


def _limits(chance: random.Random) -> dict[Kind, Money]:
    """None in half of the seeds; few calls' worth in the others."""
    kinds = chance.sample(_KINDS, chance.choice((0, 0, 0, 0, 1, 1, 2, 5)))
    return {kind: Money(int(chance.uniform(0.9, 4 if kind == "run" else 7) * A_CALL)) for kind in kinds}


def _late_faults(chance: random.Random) -> list[Fault]:
    """While money is given back."""
    return [Fault(chance.randrange(100, 500), chance.choice(("crash", "freeze"))) for _ in range(chance.choice((0, 1)))]


def _sorted(faults: list[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(faults, key=lambda fault: fault.event))


def _faults(chance: random.Random, runs: int) -> list[Fault]:
    count = chance.choices((0, 1, 2, 3, 4), (0.1, 0.3, 0.3, 0.2, 0.1))[0]
    kinds = chance.choices(_FAULTS, k=count)
    if chance.random() < 0.05:
        kinds.append("cancel")
    return [Fault(chance.randrange(2, 60 + 60 * runs), kind) for kind in kinds]
