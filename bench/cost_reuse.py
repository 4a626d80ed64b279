"""How many answers of the platform in bench/cost came from a cache, how many of them were the wrong ones, and why the
other questions that had been asked before were not answered again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from bench.cost_bank import PERSONAL
from bench.cost_books import CACHES, RunBook
from bench.cost_model import label_of
from bench.cost_sides import Answered
from trunkline_router.deciding.wording import standard_form

Fate = Literal["served", "account", "within", "only within", "worded", "desk", "tier", "rejected", "other"]
FATES: tuple[Fate, ...] = get_args(Fate)


@dataclass(frozen=True, slots=True)
class Given:
    """Answers from one cache; `wrong`: those to a question of another intent than the one that they were given to
    first; `inherited`: those that were wrong already when a model gave them.
    """

    answers: int
    wrong: int
    inherited: int


@dataclass(frozen=True)
class Reuse:
    """By cache, and what became of each question that had been asked before."""

    given: Mapping[str, Given]
    fates: Mapping[Fate, int]

    @property
    def answers(self) -> int:
        return sum(each.answers for each in self.given.values())


def reuse(ours: Sequence[Answered], runs: Mapping[str, RunBook]) -> Reuse:
    """Of the platform's answers, in the order in which they were asked."""
    intents = {each.run: each.asked.intent for each in ours}
    by_cache: dict[str, list[Answered]] = defaultdict(list)
    for each in ours:
        if served_by := _book(each, runs).served_by:
            by_cache[served_by].append(each)
    return Reuse({cache: _given(by_cache[cache], runs, intents) for cache in CACHES}, Counter(_fates(ours, runs)))


def _given(found: Sequence[Answered], runs: Mapping[str, RunBook], intents: Mapping[str, str]) -> Given:
    right = [intents.get(runs[each.run].served_of, label_of(each.text)) == each.asked.intent for each in found]
    inherited = sum(meant and not each.right for each, meant in zip(found, right, strict=True))
    return Given(len(found), right.count(False), inherited)


def _fates(ours: Sequence[Answered], runs: Mapping[str, RunBook]) -> Iterator[Fate]:
    asked: dict[str, list[Answered]] = defaultdict(list)
    for each in ours:
        if each.asked.repeats:
            yield _fate(each, asked[each.asked.repeats], runs)
        asked[each.asked.repeats or each.asked.text].append(each)


def _fate(mine: Answered, before: Sequence[Answered], runs: Mapping[str, RunBook]) -> Fate:
    """The first reason for which none of the answers `before` could be given again."""
    book = _book(mine, runs)
    if book.served_by:
        return "served"
    if mine.asked.intent in PERSONAL:
        return "account"
    if mine.asked.turn:
        return "within"
    left = [each for each in before if not each.asked.turn]
    if not left:
        return "only within"
    form = standard_form(mine.asked.text)
    left = [each for each in left if standard_form(each.asked.text) == form]
    if not left:
        return "worded"
    books = [other for each in left if (other := _book(each, runs)).answer.agent == book.answer.agent]
    if not books:
        return "desk"
    if not any(other.tier == book.tier for other in books):
        return "tier"
    return "rejected" if any(other.rejected for other in books) else "other"


def _book(found: Answered, runs: Mapping[str, RunBook]) -> RunBook:
    return runs.get(found.run, RunBook())
