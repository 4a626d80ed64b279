"""What a measurement of bench/cost is told: the models, who gives verdicts, and how the platform is set up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from trunkline.agent import AUTO, LARGE, SMALL

Judge = Literal["model", "function"]
"""Who checks the small tier's answers: the small model, which is paid for it, or a function of the team's own."""
NOTICED, ROUTED = 0.6, 0.9


@dataclass(frozen=True, slots=True)
class Models:
    """`provider:name` of each tier."""

    small: str
    large: str

    @property
    def tiers(self) -> dict[str, str]:
        return {self.small: SMALL, self.large: LARGE}

    def resolve(self, name: str) -> tuple[str, ...]:
        """A tier's model; what is left open is the large one's."""
        return (self.small,) if name in (SMALL, self.small) else (self.large,)


@dataclass(frozen=True, slots=True)
class Opinions:
    """Who says what an answer was worth: `share` of those who ask, right in `right` of the cases; of those who were
    sent to the wrong desk, `corrected` name the right one.
    """

    share: float = 0.3
    right: float = 0.95
    corrected: float = 0.5


@dataclass(frozen=True, slots=True)
class Assumed:
    """`model` of all agents. `check`: the share of wrong answers that their check notices, 0 for no check, and `judge`
    who checks. `cascade`: the share of the router's questions that the small model answers right; 0: it is not asked.
    `alike`: answers are given to questions that mean the same, too.
    """

    data: str
    models: Models
    opinions: Opinions
    model: str = AUTO
    check: float = NOTICED
    judge: Judge = "model"
    cascade: float = ROUTED
    alike: bool = False


class Variant(NamedTuple):
    """`repeat`: the share of questions that were asked before."""

    name: str
    told: Assumed
    repeat: float


def variants(told: Assumed, repeat: float) -> list[Variant]:
    """As told, then with what is off by default, then with less; what would be the same is left out."""
    large = replace(told, model=LARGE, check=0.0)
    found = (
        Variant("as configured", told, repeat),
        Variant("with answers to questions alike", replace(told, alike=True), repeat),
        Variant("without the check", replace(told, check=0.0), repeat),
        Variant("without the cascade", replace(told, cascade=0.0), repeat),
        Variant("without the small tier", large, repeat),
        Variant("caches and shorter prompts only", replace(large, cascade=0.0), repeat),
        Variant("no repeats", told, 0.0),
    )
    different: dict[tuple[Assumed, float], Variant] = {}
    for each in found:
        different.setdefault((each.told, each.repeat), each)
    return list(different.values())
