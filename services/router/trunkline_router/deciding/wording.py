"""When two questions are the same one, and when they cannot be. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_GAP = re.compile(r"(?<!\s)[^\S\n]+")
"""White space within a line. How lines are indented may be what is asked about."""
_END = re.compile(r"[\s.?!…。]+$")
_WORD = re.compile(r"\S+")
_ENDS_IN_WORD = re.compile(r"[^\W\d_]{2}[\"'”’)\]]*$")  # quotes as people type them
_DISTINCT = ("<super>", "<sub>", "<fraction>", "<circle>")
"""Characters whose compatibility form is another number: 5² is not 52."""

_NUMBER = re.compile(r"[-−]?\d+(?:[.,:/^-]?\d+)*|[^\W\d_]*\d\w*|[¼-¾⅐-⅞²³¹⁰-₉]")  # noqa: RUF001  # the minus sign, too
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")  # both apostrophes
_QUOTED = re.compile(r"[\"“„«]([^\"“”„«»]{1,200})[\"”“»]|(?<!\w)['‘`]([^'‘’`]{1,200})['’`](?!\w)")  # noqa: RUF001
_NAME = re.compile(r"(?<=[^\s.?!:])\s+(?:[^\s\w]*)([A-Z][\w&.-]*)")
_NEGATIONS = frozenset(
    """
    no not never none nobody nothing nowhere neither nor without cannot except unless stop stopped
    nicht kein keine keinen nie ohne pas jamais sans non sin nunca
    """.split()  # noqa: SIM905  # reads better than a list
)
_SHORTENED = {"ca": "can", "wo": "will", "sha": "shall"}
_COUNTED = frozenset(
    """
    zero one two three four five six seven eight nine ten eleven twelve dozen hundred thousand million billion half
    once twice double triple first second third last next before after today tomorrow yesterday monday tuesday
    wednesday thursday friday saturday sunday january february march april may june july august september october
    november december
    """.split()  # noqa: SIM905  # reads better than a list
)
"""Words that say how much, which one or when."""


class Essentials(NamedTuple):
    """What must be equal in two questions that mean the same: numbers, what is negated, what is quoted or named."""

    numbers: tuple[str, ...]
    negations: tuple[str, ...]
    names: frozenset[str]


def standard_form(question: str) -> str:
    """The words of a question whatever way it was typed: Unicode's compatibility form, white space, case, the marks at
    its end. Two questions of one form are answered the same.

    Kept apart is what may mean something: superscripts and fractions, capitals within a word (unless all is written in
    capitals), the indentation of lines, an exclamation mark behind a number. Applied twice it changes nothing more.
    """
    text = question if question.isascii() else _compatible(question)
    text = _GAP.sub(" ", text.strip())
    end = _END.search(text)
    if end and ("!" not in end.group() or _ENDS_IN_WORD.search(text[: end.start()])):
        text = text[: end.start()] or text
    shouted = text.isupper() and " " in text
    return _WORD.sub(lambda word: _folded(word.group(), shouted=shouted), text)


def essentials(question: str) -> Essentials:
    """Cheap, and rather too strict: whatever looks like a number or a name counts as one."""
    text = question if question.isascii() else _compatible(question)
    words = [word.replace("’", "'").casefold() for word in _TOKEN.findall(text)]
    numbers = [number.casefold() for number in _NUMBER.findall(text)] + [word for word in words if word in _COUNTED]
    quoted = {(first or second).casefold() for first, second in _QUOTED.findall(text)}
    named = {name.rstrip(".-").casefold() for name in _NAME.findall(text) if name not in ("I", "I.")}
    return Essentials(tuple(sorted(numbers)), tuple(sorted(_negated(words))), frozenset(quoted | named))


def _negated(words: Sequence[str]) -> Iterator[str]:
    """The verb of `can't` and `does not`; else the word that negates: who can't is not one who won't."""
    for before, word in zip(["", *words], words, strict=False):
        if word.endswith("n't") or word == "cannot":
            verb = word.removesuffix("n't").removesuffix("not")
            yield _SHORTENED.get(verb, verb)
        elif word in _NEGATIONS:
            yield before if word == "not" else word


def _compatible(text: str) -> str:
    """NFKC, but for characters that are numbers of another kind."""
    kept = "".join(
        each if unicodedata.decomposition(each).startswith(_DISTINCT) else unicodedata.normalize("NFKC", each)
        for each in unicodedata.normalize("NFC", text)
    )
    return unicodedata.normalize("NFC", kept)


def _folded(word: str, *, shouted: bool) -> str:
    """Without its case, unless that may mean something: `ABC` may be what is to be decoded, `I` is a word."""
    bare = word.strip("\"'“”‘’(),;:.?!")  # noqa: RUF001
    plain = shouted or bare == "I" or bare[1:].islower() or not bare
    return word.casefold() if plain else word
