"""What the platform's log says that was paid, and what was not, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bench.cost_assumed import Models
from bench.cost_bank import RECEPTION
from bench.cost_model import seconds_of
from bench.cost_sides import Answered
from trunkline.bus.stored import StoredMessage
from trunkline.contracts.codec import decode_fact
from trunkline.contracts.dialog import Usage
from trunkline.contracts.messages import Answer, Fact, Feedback, Model, Note, Task
from trunkline.contracts.savings import SAVING
from trunkline.contracts.subjects import CLASSIFIED, Subject
from trunkline.contracts.verdicts import CHECKED, ESCALATED
from trunkline.prices import Money, PriceBook

CACHES = ("answer_cache", "alike_cache")
PROMPT_CACHE = "prompt_cache"
CASCADE = "cascade"
LEVERS = (*CACHES, "model_cache", "tier", "history", "tools", "results", PROMPT_CACHE, CASCADE)
"""CASCADE saves nothing: the router's calls of the small model, which cost something, for righter answers."""


class Classified(msgspec.Struct, frozen=True):
    """What the router's note says of its own call of a model."""

    model: str = ""
    usage: Usage = Usage()
    cost: str = ""


@dataclass
class RunBook:
    """One run, as its facts tell."""

    answer: Answer = field(default_factory=Answer)
    models: list[Model] = field(default_factory=list)
    classified: list[Classified] = field(default_factory=list)
    other: list[Money] = field(default_factory=list)
    savings: list[Mapping[str, Any]] = field(default_factory=list)
    tier: str = ""
    rejected: bool = False
    checked: bool = False
    escalated: bool = False

    @property
    def paid(self) -> list[Model | Classified]:
        """The calls that a model really answered, the router's own among them."""
        return [*self.classified, *(model for model in self.models if not model.source)]

    @property
    def usage(self) -> Usage:
        """Of the agent's calls."""
        return sum((model.usage for model in self.models), Usage())

    @property
    def routing(self) -> Money:
        return sum((Money.parse(each.cost) for each in self.classified if each.cost), Money())

    @property
    def cost(self) -> Money:
        """Of its model calls, those that were tried again, and the router's own."""
        tried = sum(self.other, self.routing)
        return sum((Money.parse(model.cost) for model in self.models if model.cost), tried)

    @property
    def served_by(self) -> str:
        """The cache that the answer came from, if any."""
        return next((each["lever"] for each in self.savings if each["lever"] in CACHES), "")

    @property
    def served_of(self) -> str:
        """The run whose answer that was."""
        return next((each.get("of", "") for each in self.savings if each["lever"] in CACHES), "")

    def saved(self, lever: str, prices: PriceBook) -> Money:
        """What the log says of a lever, negative for what costs more."""
        if lever == PROMPT_CACHE:
            return Money(sum(discount(model.model, model.usage, prices) for model in self.models))
        if lever == CASCADE:
            return Money(-self.routing.pico)
        if lever == "model_cache":
            return sum((Money.parse(model.saved) for model in self.models if model.saved), Money())
        found = [each for each in self.savings if each["lever"] == lever]
        return sum(map(_worth, found), Money())

    def spared(self, lever: str, large: str, prices: PriceBook) -> Money:
        """The same; but tokens that were not sent are worth what the large model would have taken for them."""
        tokens = sum(int(each["tokens"]) for each in self.savings if each["lever"] == lever)
        return prices.price(large, Usage(input_tokens=tokens)) if tokens else self.saved(lever, prices)


def _worth(saving: Mapping[str, Any]) -> Money:
    """Negative when what was tried in vain, as the small tier's work and the check of it, came on top."""
    return Money(Money.parse(saving["cost"] or "0").pico - Money.parse(saving.get("extra") or "0").pico)


def discount(model: str, usage: Usage, prices: PriceBook) -> int:
    """Picodollars that the provider's prompt cache was worth in a call."""
    if not usage.cache_read_tokens:
        return 0
    plain = Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
    return prices.price(model, plain).pico - prices.price(model, usage).pico


def books(log: Iterable[StoredMessage]) -> dict[str, RunBook]:
    """By run; a delegated run has a book of its own."""
    found: dict[str, RunBook] = defaultdict(RunBook)
    for message in log:
        subject = Subject.parse(message.subject)
        _enter(found[subject.run], decode_fact(subject.kind, message.data))
    return dict(found)


def _enter(book: RunBook, fact: Fact) -> None:
    match fact:
        case Model():
            book.models.append(fact)
        case Answer():
            book.answer = fact
        case Task(tier=tier):
            book.tier = tier
        case Feedback(verdict=verdict):
            book.rejected |= verdict < 0
        case Note(what=what, data=data) if what == SAVING:
            book.savings.append(data)
        case Note(what=what, data=data) if what == CLASSIFIED:
            book.classified.append(msgspec.convert(data, Classified))
        case Note(what=what) if what == CHECKED:
            book.checked = True
        case Note(what=what) if what == ESCALATED:
            book.escalated = True
        case Note(data=data) if isinstance(data.get("cost"), str) and data["cost"]:
            book.other.append(Money.parse(data["cost"]))
        case _:
            pass


@dataclass(frozen=True)
class Account:
    """One side's year-end. `right`, `routed_right`: shares; `p50`: seconds, with what real models take."""

    questions: int
    answered: int
    calls: int
    usage: Usage
    cost: Money
    right: float
    p50: float


@dataclass(frozen=True)
class Comparison:
    """Both sides. `levers`: of what the platform paid less, how much each brought; `rest` is what is left to be
    explained: other lengths of replies, questions that were refused. `noted`: what the log says of each lever, at the
    prices of what was spared.
    """

    baseline: Account
    platform: Account
    levers: Mapping[str, Money]
    noted: Mapping[str, Money]
    rest: Money
    routed_right: float
    reception: float
    refused: int
    large: float
    classified: int
    checked: int
    escalated: int
    course: Sequence[tuple[float, float]]

    @property
    def saved(self) -> float:
        return 1 - self.platform.cost.pico / self.baseline.cost.pico if self.baseline.cost.pico else 0.0


def account(found: Sequence[Answered]) -> Account:
    seconds = sorted(each.seconds for each in found)
    return Account(
        questions=len(found),
        answered=sum(1 for each in found if each.text),
        calls=sum(each.calls for each in found),
        usage=sum((each.usage for each in found), Usage()),
        cost=sum((each.cost for each in found), Money()),
        right=sum(each.right for each in found) / len(found),
        p50=seconds[len(seconds) // 2],
    )


def with_log(found: Sequence[Answered], runs: Mapping[str, RunBook], models: Models) -> Iterator[Answered]:
    """The platform's answers with what the log says of their runs."""
    for each in found:
        book = runs.get(each.run, RunBook())
        real = sum(seconds_of(models.tiers[call.model], call.usage) for call in book.paid)
        usage = sum((call.usage for call in book.classified), book.usage)
        yield Answered(
            each.asked, each.text, each.run, each.seconds + real, cost=book.cost, calls=len(book.paid), usage=usage
        )


def compare(
    ours: Sequence[Answered], theirs: Sequence[Answered], runs: Mapping[str, RunBook], models: Models, prices: PriceBook
) -> Comparison:
    """Question by question: `ours` is the platform's."""
    levers, rest = _attributed(ours, theirs, runs, models, prices)
    routed = [(runs[each.run].answer.agent, each.asked.desk) for each in ours if each.text]
    return Comparison(
        baseline=account(theirs),
        platform=account(ours),
        levers=levers,
        noted={lever: sum((run.saved(lever, prices) for run in runs.values()), Money()) for lever in LEVERS},
        rest=rest,
        routed_right=_share(agent == desk for agent, desk in routed),
        reception=_share(agent == RECEPTION for agent, _ in routed),
        large=_share(any(model.model == models.large for model in runs[each.run].models) for each in ours if each.run),
        refused=sum(1 for each in ours if not each.text),
        classified=sum(len(run.classified) for run in runs.values()),
        checked=sum(run.checked for run in runs.values()),
        escalated=sum(run.escalated for run in runs.values()),
        course=_course(ours, theirs),
    )


def _share(holds: Iterable[bool]) -> float:
    found = list(holds)
    return sum(found) / len(found) if found else 0.0


def _attributed(
    ours: Sequence[Answered], theirs: Sequence[Answered], runs: Mapping[str, RunBook], models: Models, prices: PriceBook
) -> tuple[dict[str, Money], Money]:
    """An answer from a cache saves all that the other side paid; else each lever what the log says of it."""
    found = dict.fromkeys(LEVERS, 0)
    rest = 0
    for mine, other in zip(ours, theirs, strict=True):
        gap = other.cost.pico - mine.cost.pico
        book = runs.get(mine.run, RunBook())
        if book.served_by:
            found[book.served_by] += gap + book.routing.pico
            found[CASCADE] -= book.routing.pico
            continue
        for lever in LEVERS:
            cached = lever == PROMPT_CACHE
            part = _kept(book, other, models, prices) if cached else book.spared(lever, models.large, prices).pico
            found[lever] += part
            gap -= part
        rest += gap
    return {lever: Money(pico) for lever, pico in found.items()}, Money(rest)


def _kept(mine: RunBook, other: Answered, models: Models, prices: PriceBook) -> int:
    """What the provider's cache gave one side more than the other, at the large model's prices."""
    return discount(models.large, mine.usage, prices) - discount(models.large, other.usage, prices)


def _course(ours: Sequence[Answered], theirs: Sequence[Answered]) -> list[tuple[float, float]]:
    """Dollars so far, platform and baseline, after each question."""
    course, mine, other = [], 0, 0
    for one, two in zip(ours, theirs, strict=True):
        mine, other = mine + one.cost.pico, other + two.cost.pico
        course.append((mine / 1e12, other / 1e12))
    return course
