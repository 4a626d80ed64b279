"""What a classifier's verdicts are worth, and what they cost."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import psutil

from bench.measure import percentile
from bench.router_data import Question
from trunkline_router.classifiers.classify import Classifier, RouteCard, Verdict

BINS = 15
IN_SCOPE = 0.95
ROUTES, EXAMPLES = 20, 10
TIMED = 1_000


@dataclass(frozen=True)
class Quality:
    """`ece`: the expected calibration error. `outside_found`: of the questions that are out of scope, the share for
    which less speaks than for 95 of 100 in scope. `passed` and `refused`: the shares of those in and out of scope that
    the classifier's own judgement lets in and keeps out.
    """

    accuracy: float
    ece: float
    outside_found: float
    passed: float
    refused: float


@dataclass(frozen=True)
class Speed:
    """`cpu_ms`: the mean of a decision's processor time, which others on the machine hardly change. `refit_s`: 20
    routes with 10 examples each, all new; `update_s`: one more example. `rss_mib`: the process, before and after.
    """

    cpu_ms: float
    p50_ms: float
    p99_ms: float
    refit_s: float
    update_s: float
    rss_mib_before: float
    rss_mib: float


def best_guess(verdict: Verdict) -> str:
    """The likeliest label, also when the classifier would rather say nobody."""
    return max(verdict.scores, key=verdict.scores.__getitem__, default="")


def evidence(verdict: Verdict) -> float:
    """How much speaks for anybody."""
    return max(verdict.scores.values(), default=0.0)


def agreement(verdicts: Sequence[Verdict], test: Sequence[Question]) -> tuple[float, float]:
    """Accuracy and expected calibration error (Naeini et al. 2015), in 15 bins of equal width."""
    pairs = zip(verdicts, test, strict=True)
    right = np.array([best_guess(verdict) == question.category for verdict, question in pairs])
    sure = np.array([evidence(verdict) for verdict in verdicts])
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [abs(right[bins == i].mean() - sure[bins == i].mean()) * (bins == i).mean() for i in set(bins.tolist())]
    return float(right.mean()), float(sum(gaps))


def scope(inside: Sequence[Verdict], outside: Sequence[Verdict]) -> tuple[float, float, float]:
    """`outside_found`, `passed`, `refused`."""
    bar = np.quantile([evidence(verdict) for verdict in inside], 1 - IN_SCOPE)
    found = np.mean([evidence(verdict) < bar for verdict in outside])
    passed = np.mean([verdict.label != "" for verdict in inside])
    refused = np.mean([verdict.label == "" for verdict in outside])
    return float(found), float(passed), float(refused)


def speed(make: Callable[[], Classifier], routes: Sequence[RouteCard], questions: Sequence[str]) -> Speed:
    """`routes` are cut to 20 with 10 examples; the questions are asked one after the other."""
    before = _rss()
    classifier = make()
    few = [RouteCard(route.label, route.description, route.examples[:EXAMPLES]) for route in routes[:ROUTES]]
    refit = _seconds(lambda: classifier.fit(few))
    taught = RouteCard(few[0].label, few[0].description, (*few[0].examples, "Something that was not asked before"))
    update = _seconds(lambda: classifier.fit([taught, *few[1:]]))
    asked, began = questions[:TIMED], time.thread_time()
    times = sorted(_seconds(functools.partial(classifier.classify, question)) * 1000 for question in asked)
    cpu = (time.thread_time() - began) * 1000 / len(asked)
    return Speed(cpu, percentile(times, 0.5), percentile(times, 0.99), refit, update, before, _rss())


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _rss() -> float:
    return float(psutil.Process().memory_info().rss / 2**20)
