"""How hard a question is, from 0 to 1: whether the small tier will do, for agents that leave that open.

The score is the mean of a prior and of what became of questions that the small tier answered, each of which counts by
how alike it is (Nadaraya-Watson regression with a pseudo-count; Hastie, Tibshirani & Friedman 2009, § 6.1):

    difficulty(q) = (PRIOR_WORTH · prior(q) + Σ k(q, qᵢ) · hardᵢ) / (PRIOR_WORTH + Σ k(q, qᵢ))

k is exp(g (cosine - 1)) of sentence embeddings, or of spelling without an encoder, and never less than EVERY: an agent
whose small tier often fails gets the large one sooner for all its questions. Only outcomes of the same agent count, for
it is the agent's instructions and tools that make a question easy.

The prior is nothing but a prior: its weights were set by hand, so that a plain question of up to some 60 words is easy
and one that asks for several steps of thought is hard.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, runtime_checkable

import numpy as np

from trunkline.agent import AUTO, LARGE, SMALL
from trunkline.contracts.registry import AgentCard
from trunkline_router.classifiers.ngrams import NGrams
from trunkline_router.classifiers.weights import Tensor
from trunkline_router.learning.lessons import Outcome

Embed = Callable[[Sequence[str]], Tensor]
"""Texts to (texts, features), each of length one."""


@runtime_checkable
class Embeds(Protocol):
    """A classifier with an encoder that others may use too."""

    def embed(self, texts: Sequence[str]) -> Tensor: ...

    def reads(self, text: str) -> bool:
        """Whether nothing of the text is lost on the encoder."""
        ...


PRIOR_WORTH = 0.5
"""One outcome of the very same question outweighs the prior."""
EVERY = 0.01
NARROWNESS = 12.0
"""g: a paraphrase (cosine 0.85) counts a sixth of the same words, another matter (0.5) nothing."""
SHORT = 160
"""Characters up to which a question is embedded at once; a longer one in a thread."""

BIAS = -2.2
LONG, LONG_WORDS = 2.6, 150
"""For length, in full from so many words on."""
WEIGHTS: Mapping[str, tuple[float, int, int, re.Pattern[str]]] = {
    "several questions": (0.6, 1, 3, re.compile(r"\?")),
    "reasoning": (
        0.8,
        0,
        4,
        re.compile(
            r"\b(?:why|explain|compare|versus|vs|analy[sz]e|evaluate|prove|derive|plan|design|optimi[sz]e|trade-?offs?|"
            r"step by step|strategy|pros and cons|reason(?:s|ing)?|estimate|summari[sz]e|recommend|better|best|"
            r"warum|wieso|erkl[äa]re?n?|vergleich\w*|begr[üu]nde\w*|beweis\w*|analysier\w*|bewerte\w*|plane\w*|"
            r"entwirf|schritt für schritt|zusammenfass\w*|empfiehl\w*|besser)\b",
            re.IGNORECASE,
        ),
    ),
    "conditions": (
        0.4,
        0,
        3,
        re.compile(r"\b(?:if|unless|except|otherwise|assuming|provided|wenn|falls|außer|sofern)\b", re.IGNORECASE),
    ),
    "code": (1.2, 0, 1, re.compile(r"`|[{};]\s?$|\bdef \w|\b(?:SELECT|UPDATE|INSERT)\b|\w\(\w*\)", re.MULTILINE)),
    "numbers": (0.25, 1, 4, re.compile(r"\d[\d.,]*")),
    "arithmetic": (0.6, 0, 1, re.compile(r"\d\s*[-+*/×÷^=]\s*\d|\d\s*%|\b(?:percent|prozent)\b", re.IGNORECASE)),
}
"""What a match adds to the score's logit, how many are as usual, how many count beyond these, and what matches."""
READ = 4_000
"""Characters of a question in which matches are looked for."""


def prior(question: str) -> float:
    """By the look of the question alone."""
    logit = BIAS + LONG * min(1.0, len(question.split()) / LONG_WORDS)
    for weight, usual, most, pattern in WEIGHTS.values():
        found = sum(1 for _ in islice(pattern.finditer(question, 0, READ), usual + most))
        logit += weight * max(0, found - usual)
    return 1 / (1 + math.exp(-logit))


@dataclass(frozen=True, slots=True)
class _Learnt:
    """One agent's outcomes: how alike a question is to each, and whether they were hard."""

    outcomes: tuple[Outcome, ...]
    alike: Callable[[str], Tensor]
    hard: Tensor


class Difficulty:
    """Knows questions by their meaning when the router's classifier has an encoder."""

    def __init__(self, classifier: object = None) -> None:
        self._embed: Embed | None = classifier.embed if isinstance(classifier, Embeds) else None
        self._points: dict[str, Tensor] = {}
        self._learnt: Mapping[str, _Learnt] = {}

    def learn(self, outcomes: Mapping[str, Sequence[Outcome]]) -> None:
        """In place of the former ones. May run in a thread: until the end, the former ones count."""
        texts = {outcome.question for found in outcomes.values() for outcome in found}
        if self._embed:
            new = sorted(texts - self._points.keys())
            known = self._points | dict(zip(new, self._embed(new) if new else (), strict=True))
            self._points = {text: known[text] for text in texts}
        self._learnt = {agent: self._of_agent(tuple(found)) for agent, found in outcomes.items() if found}

    def of(self, agent: str, question: str) -> float:
        """Deterministic: the same outcomes give the same score. May be called in several threads at once."""
        before = prior(question)
        learnt = self._learnt.get(agent)
        if learnt is None:
            return before
        weights = np.maximum(np.exp(NARROWNESS * (learnt.alike(question) - 1)), EVERY)
        return float((PRIOR_WORTH * before + weights @ learnt.hard) / (PRIOR_WORTH + weights.sum()))

    async def tier(self, card: AgentCard | None, question: str, *, hard: float) -> tuple[str, float | None]:
        """The tier for an agent that leaves it open, and the score behind it; for any other, neither."""
        if card is None or card.model != AUTO:
            return "", None
        if len(question) <= SHORT:
            score = self.of(card.agent, question)
        else:
            score = await asyncio.to_thread(self.of, card.agent, question)
        return (LARGE if score >= hard else SMALL), round(score, 4)

    def _of_agent(self, outcomes: tuple[Outcome, ...]) -> _Learnt:
        hard = np.array([outcome.hard for outcome in outcomes], dtype=np.float32)
        texts = [outcome.question for outcome in outcomes]
        if self._embed is None:
            return _Learnt(outcomes, NGrams(texts).alike, hard)
        embed, points = self._embed, np.stack([self._points[text] for text in texts])
        return _Learnt(outcomes, lambda question: points @ embed([question])[0], hard)
