"""WordPiece, as BERT's uncased models were trained with it (Wu et al. 2016; Devlin et al. 2018).

A text is cleaned, lowered, stripped of accents, split at white space and around punctuation and ideographs, and each
word is cut from the left into the longest pieces that the vocabulary has.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

CLASSIFY, SEPARATE, UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
LONGEST_WORD = 100
"""Characters; a longer word is one unknown piece, as in the original."""

_IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)


class WordPiece:
    """Texts to the numbers of their pieces in `vocabulary`, whose place is their number."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._numbers = {piece: number for number, piece in enumerate(vocabulary)}
        self._longest_piece = max(map(len, vocabulary), default=0)
        missing = [piece for piece in (CLASSIFY, SEPARATE, UNKNOWN) if piece not in self._numbers]
        if missing:
            raise ValueError(f"the vocabulary has no {', '.join(missing)}")
        self._first, self._last, self.unknown = (self._numbers[each] for each in (CLASSIFY, SEPARATE, UNKNOWN))

    def encode(self, text: str, longest: int) -> list[int]:
        """`longest` pieces at most, the two at the ends included; what comes after is left out."""
        numbers = [self._first]
        for word in words(text):
            numbers += self._pieces(word)
            if len(numbers) >= longest:
                break
        return [*numbers[: longest - 1], self._last]

    def _pieces(self, word: str) -> list[int]:
        if len(word) > LONGEST_WORD:
            return [self.unknown]
        found: list[int] = []
        start = 0
        while start < len(word):
            end = min(len(word), start + self._longest_piece)
            while (number := self._numbers.get(("##" if start else "") + word[start:end])) is None:
                end -= 1
                if end == start:
                    return [self.unknown]
            found.append(number)
            start = end
        return found


def words(text: str) -> Iterator[str]:
    """Normalised words, each mark of punctuation and each ideograph by itself."""
    yield from unicodedata.normalize("NFD", text).translate(_CLEANED).split(" ")


class _Cleaned:
    """What `str.translate` puts for a character."""

    @staticmethod
    @lru_cache(maxsize=4096)
    def _of(code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if character in "\t\n\r" or category in ("Zs", "Zl", "Zp"):
            return " "
        if code == 0xFFFD or category in ("Cc", "Cf", "Co", "Cs", "Mn"):
            return ""
        if category.startswith("P") or _ascii_symbol(code) or _ideograph(code):
            return f" {character} "
        return character.lower()

    def __getitem__(self, code: int) -> str:
        return self._of(code)


_CLEANED = _Cleaned()


def _ascii_symbol(code: int) -> bool:
    """BERT counts all of ASCII's symbols as punctuation, Unicode only some."""
    return 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126


def _ideograph(code: int) -> bool:
    return any(low <= code <= high for low, high in _IDEOGRAPHS)
