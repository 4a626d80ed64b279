"""Text into pieces: words with their stems, numbers, identifiers, dates, addresses, quotations."""

import re
from functools import lru_cache
from typing import NamedTuple

_PIECE = re.compile(
    r"""
    (?P<quoted>"[^"]+"|“[^”]+”|(?<!\w)'[^']+'(?!\w)|`[^`]+`)
    |(?P<url>https?://[^\s"'<>]*[^\s"'<>.,;:!?)])
    |(?P<email>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)
    |(?P<date>\d{4}-\d\d-\d\d(?:[T\ ]\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:?\d\d)?)?(?!\d))
    |(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[^\W\d_]+[-_\#]\d[\w-]*|\b[A-Z]{2,}\d+\b)
    |(?P<number>(?:(?<![\w)])[-+])?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?)
    |(?P<word>[^\W\d_][^\W_]*(?:['’][^\W_]+)?)
    |(?P<sign>[-+*/×÷])
    """,  # the signs that people type
    re.VERBOSE,
)
_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


STOP = _set(
    """a about after all also am an and any are as at be been before being but by can could did do does done for from
    had has have he her here hers him his how i if in into is it its just like may me might mine more most much must my
    need no not now of off on only or our ours out over please same shall she should so some such than thank thanks that
    the their them then there these they this those through to too under until up us very want was we were what when
    where which while who whom whose why will with without would yes yet you your yours there's what's i'm i'd i've
    it's let's don't doesn't can't know tell give hello hi hey kindly using use via named called right"""
)
PREPOSITIONS = _set("in for of about at from to on with by into named called")
WEAK = _set("get find show list look fetch search return lookup check read make run ask")
VAGUE = WEAK | {"new", "current"}
_SAME = {
    **dict.fromkeys(("+", "plus", "sum", "addition", "summe"), "add"),
    **dict.fromkeys(("-", "minus", "subtraction", "difference"), "subtract"),
    **dict.fromkeys(("*", "×", "times", "product", "multiplication", "multiplied"), "multiply"),
    **dict.fromkeys(("/", "÷", "divided", "division", "quotient"), "divide"),
    **dict.fromkeys(("reimburse", "reimbursement"), "refund"),
    **dict.fromkeys(("bill", "bills"), "invoice"),
    **dict.fromkeys(("email", "emails", "mail", "mails", "e-mail"), "email"),
}
_SUFFIXES = (("ations", 4), ("ation", 4), ("ators", 4), ("ator", 4), ("ates", 4), ("ated", 4), ("ate", 4))
_ENDINGS = (("ions", 4), ("ion", 4), ("ments", 4), ("ment", 4), ("ings", 3), ("ing", 3), ("ed", 3), ("ly", 4))


class Piece(NamedTuple):
    """One token. `stem` is empty for what carries no meaning by itself; `text` is without quotation marks."""

    kind: str
    text: str
    start: int
    end: int
    stem: str


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """A light English stem, made for matching and not for reading: invoices → invoic, shipping → ship."""
    word = word.lower().removesuffix("'s").removesuffix("’s")
    word = _SAME.get(word, word)
    for suffix, least in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= least:
            return _single(word[: -len(suffix)])
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    for ending, least in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= least:
            word = _single(word[: -len(ending)])
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def _single(word: str) -> str:
    doubled = len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls"
    return word[:-1] if doubled or word.endswith("cell") else word


@lru_cache(maxsize=16_384)
def _meaning(word: str) -> str:
    return "" if word.lower() in STOP else stem(word)


def pieces(text: str) -> list[Piece]:
    found: list[Piece] = []
    for match in _PIECE.finditer(text):
        kind = match.lastgroup or ""
        shown = match.group()
        if kind == "quoted":
            shown = shown[1:-1]
        counts = kind == "word" or (kind == "sign" and bool(found) and found[-1].kind == "number")
        meaning = _meaning(shown) if counts else ""
        found.append(Piece(kind, shown, match.start(), match.end(), meaning))
    return found


def name_stems(name: str) -> frozenset[str]:
    """The stems inside an identifier: `invoices.findByCustomer_id` → invoic, find, by, custom, id."""
    return frozenset(stem(part) for part in _NAME.findall(name))


def text_stems(text: str) -> frozenset[str]:
    return frozenset(piece.stem for piece in pieces(text) if piece.stem)
