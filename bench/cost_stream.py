"""The questions that both sides of bench/cost are asked: drawn from labelled ones, with a seed, in time order."""

from __future__ import annotations

import random
import string
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from bench.cost_bank import desk_of

ZIPF = 1.0
"""The k-th most popular intent is asked 1 / k as often as the first one."""
LIGHT = 1 / 3
"""Of the repeats: this share is typed a little differently; the rest is the same to the letter."""
LONGER = 0.3
"""The share of conversations that go on after the first answer."""
TURNS = 4.0
"""How long those are in the mean; geometrically distributed."""
MOST_TURNS = 20
SAME_DESK = 0.8
"""A later question of a conversation is about the same desk's matters; else about anything."""
HOURS = 8.0
"""The stream is spread over a working day, whatever its length."""
TURN_SECONDS = 60.0
USERS = 0.4
"""As many users as this share of the questions."""
HARD_INTENTS, HARD_ELSE = 0.25, 0.05

Kind = Literal["new", "same", "light"]


@dataclass(frozen=True, slots=True)
class Asked:
    """`at`: seconds since the stream began. `kind`: never asked before, the same again, or typed differently;
    `repeats`: what it was when it was new. `paraphrase`: new words for an intent that was asked before.
    """

    number: int
    at: float
    user: str
    conversation: int
    turn: int
    text: str
    intent: str
    kind: Kind
    repeats: str
    paraphrase: bool

    @property
    def desk(self) -> str:
        return desk_of(self.intent)


@dataclass
class Stream:
    asked: list[Asked]
    hard_intents: frozenset[str]
    seed: int
    intent_of: dict[str, str] = field(default_factory=dict)

    def is_hard(self, text: str) -> bool:
        """A feature of the question: its intent is a hard one, or it happens to be."""
        intent = self.intent_of.get(text, "")
        return intent in self.hard_intents or chance(self.seed, "hard", text) < HARD_ELSE


def chance(*what: object) -> float:
    """The same number in [0, 1) for the same things, in any order of asking."""
    return random.Random("\x1f".join(map(str, what))).random()


def drawn(questions: Mapping[str, Sequence[str]], count: int, repeat: float, seed: int) -> Stream:
    """`questions` by intent; `repeat`: the share of questions that were asked before, by whomever."""
    draw = random.Random(seed)
    intents = sorted(questions)
    draw.shuffle(intents)
    weights = {intent: 1 / (rank + 1) ** ZIPF for rank, intent in enumerate(intents)}
    hard = frozenset(draw.sample(intents, round(HARD_INTENTS * len(intents))))
    writer = _Writer(questions, intents, weights, repeat, draw)
    stream = Stream([], hard, seed)
    for number, (at, conversation, turn) in enumerate(_moments(count, draw)):
        words = writer.next(conversation, turn)
        user = f"user-{random.Random(f'{seed} {conversation}').randrange(max(1, int(USERS * count)))}"
        stream.asked.append(Asked(number, at, user, conversation, turn, *words))
        stream.intent_of[words.text] = words.intent
    return stream


def _moments(count: int, draw: random.Random) -> list[tuple[float, int, int]]:
    """When, in which conversation, which turn."""
    found: list[tuple[float, int, int]] = []
    conversation = 0
    while len(found) < count:
        turns = 1
        if draw.random() < LONGER:
            turns = 2
            while turns < MOST_TURNS and draw.random() > 1 / (TURNS - 1):
                turns += 1
        at = draw.uniform(0, HOURS * 3600)
        for turn in range(turns):
            found.append((at, conversation, turn))
            at += draw.expovariate(1 / TURN_SECONDS)
        conversation += 1
    return sorted(found[:count])


class _Words(NamedTuple):
    text: str
    intent: str
    kind: Kind
    repeats: str
    paraphrase: bool


class _Writer:
    """Chooses the words."""

    def __init__(
        self,
        questions: Mapping[str, Sequence[str]],
        intents: Sequence[str],
        weights: Mapping[str, float],
        repeat: float,
        draw: random.Random,
    ) -> None:
        self._draw, self._repeat = draw, repeat
        self._intents, self._weights = intents, weights
        self._unasked = {intent: draw.sample(texts, len(texts)) for intent, texts in questions.items()}
        self._before: dict[str, list[str]] = defaultdict(list)
        self._desks: dict[int, str] = {}

    def next(self, conversation: int, turn: int) -> _Words:
        intent = self._intent(conversation, turn)
        self._desks.setdefault(conversation, desk_of(intent))
        before = self._before[intent]
        if before and (self._draw.random() < self._repeat or (self._repeat and not self._unasked[intent])):
            text = self._draw.choice(before)
            if self._draw.random() < LIGHT:
                return _Words(typed(text, self._draw), intent, "light", text, paraphrase=False)
            return _Words(text, intent, "same", text, paraphrase=False)
        while not self._unasked[intent]:
            intent = self._any(self._intents)
        text, before = self._unasked[intent].pop(), self._before[intent]
        before.append(text)
        return _Words(text, intent, "new", "", paraphrase=len(before) > 1)

    def _intent(self, conversation: int, turn: int) -> str:
        if turn and self._draw.random() < SAME_DESK:
            return self._any([intent for intent in self._intents if desk_of(intent) == self._desks[conversation]])
        return self._any(self._intents)

    def _any(self, intents: Sequence[str]) -> str:
        return self._draw.choices(intents, [self._weights[intent] for intent in intents])[0]


def typed(text: str, draw: random.Random) -> str:
    """The same question as another hand types it: case, punctuation, a space, or two letters in the wrong order."""
    match draw.randrange(5):
        case 0:
            return text.lower()
        case 1:
            return text.upper() if len(text) < 40 else text.capitalize()
        case 2:
            return text.rstrip(string.punctuation + " ") + draw.choice(("", "??", "!", "...", " ?"))
        case 3:
            return f"  {text}".replace(" ", "  ", 2)
        case _:
            places = [at for at in range(1, len(text) - 2) if text[at : at + 2].isalpha()]
            if not places:
                return text.lower()
            at = draw.choice(places)
            return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
