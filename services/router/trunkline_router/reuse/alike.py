"""Answers to questions that mean the same, for agents that want it: by sentence embeddings, never by words alone."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from trunkline_router.classifiers.weights import Tensor
from trunkline_router.deciding.wording import essentials
from trunkline_router.learning.difficulty import Embeds
from trunkline_router.reuse.answers import Answers, Hit, Likeness
from trunkline_router.reuse.keys import Question
from trunkline_router.reuse.threshold import Threshold
from trunkline_router.reuse.vectors import Vectors

LONGEST = 1_000
"""Characters. The encoder hardly reads more, and what it does not read may be what matters."""
SHORT = 160
"""Characters up to which a question is embedded at once; a longer one in a thread."""


class Alike:
    """Without an encoder nothing is ever alike. Vectors live in this process alone."""

    def __init__(self, answers: Answers, encoder: Embeds | None, *, most: int) -> None:
        self._answers = answers
        self._encoder = encoder
        self._vectors = Vectors(most)
        self._thresholds: defaultdict[str, Threshold] = defaultdict(Threshold)

    async def find(self, question: Question) -> Hit | None:
        """The answer to the nearest earlier question, if it is near enough."""
        encoder = self._encoder_for(question)
        if encoder is None or question.group not in self._vectors:
            return None
        threshold = self._thresholds[question.agent].value
        point = await _point(encoder, question.text)
        found = self._vectors.nearest(question.group, essentials(question.text), point, threshold)
        if found is None:
            return None
        key, similarity = found
        hit = await self._answers.find(key)
        if hit is None:
            self._vectors.discard(question.group, key)
            return None
        return Hit(hit.key, hit.given, hit.at, Likeness(similarity, threshold))

    async def add(self, question: Question) -> None:
        """Its answer is kept, and may be found by others from now on."""
        encoder = self._encoder_for(question)
        if encoder:
            point = await _point(encoder, question.text)
            self._vectors.add(question.group, question.key, essentials(question.text), point)

    def judge(self, agent: str, similarity: float, verdict: int, user: str) -> None:
        """What `user` says of an answer that was found here."""
        self._thresholds[agent].judge(similarity, verdict, user)

    def _encoder_for(self, question: Question) -> Embeds | None:
        encoder = self._encoder if question.alike and len(question.text) <= LONGEST else None
        return encoder if encoder and encoder.reads(question.text) else None


async def _point(encoder: Embeds, text: str) -> Tensor:
    short = len(text) <= SHORT
    points = encoder.embed([text]) if short else await asyncio.to_thread(encoder.embed, [text])
    point: Tensor = points[0]
    return point
