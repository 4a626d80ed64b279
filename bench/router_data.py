"""Labelled questions from files, and what is drawn from them: a few examples of each label, labels kept back."""

from __future__ import annotations

import csv
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from trunkline_router.classifiers.classify import RouteCard


class Unusable(ValueError):
    """The file is not what the benchmark reads; the text says what to do."""


class Question(NamedTuple):
    text: str
    category: str


def read_questions(path: Path, *, labelled: bool = True) -> list[Question]:
    """Raises Unusable. Without `labelled`, only the column `text` is needed."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            found = list(_rows(path, csv.DictReader(file), ("text", "category") if labelled else ("text",)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Unusable(f"{path} cannot be read: {error}. Give a CSV file in UTF-8.") from error
    if not found:
        raise Unusable(f"{path} has no questions. Give a CSV file with a line for each.")
    return found


def _rows(path: Path, rows: csv.DictReader[str], needed: Sequence[str]) -> Iterator[Question]:
    missing = [name for name in needed if name not in (rows.fieldnames or ())]
    if missing:
        raise Unusable(f"{path} has no column {' and no column '.join(missing)}. Its first line must name the columns.")
    for row in rows:
        if not all(row[name] for name in needed):
            raise Unusable(
                f"Line {rows.line_num} of {path} is incomplete. Fill in {' and '.join(needed)}, or remove it."
            )
        yield Question(row["text"], row.get("category") or "")


def check_categories(train_file: Path, train: Sequence[Question], test_file: Path, test: Sequence[Question]) -> None:
    """Raises Unusable when there is nothing to tell apart, or too little to learn from."""
    counts = Counter(question.category for question in train)
    if len(counts) < 2:
        raise Unusable(f"{train_file} has questions of one category only. A router needs two at least.")
    if alone := [category for category, count in counts.items() if count < 2]:
        raise Unusable(f"{train_file} has one question of {alone[0]!r} only. Add another one, or remove it.")
    if unknown := [question.category for question in test if question.category not in counts]:
        raise Unusable(f"{test_file} asks for {unknown[0]!r}, of which {train_file} has no question.")


def few_shot(train: Sequence[Question], shots: int | None, seed: int) -> list[RouteCard]:
    """A route for each category: so many of its questions, or all of them, and its name in words as description."""
    by_category: dict[str, list[str]] = defaultdict(list)
    for question in train:
        by_category[question.category].append(question.text)
    draw = random.Random(seed)
    return [
        RouteCard(category, in_words(category), tuple(draw.sample(texts, min(shots or len(texts), len(texts)))))
        for category, texts in sorted(by_category.items())
    ]


def in_words(category: str) -> str:
    return " ".join(category.replace("_", " ").replace("-", " ").split())


def kept_back(categories: Collection[str], share: float, seed: int) -> set[str]:
    """The categories that the router is not to learn: at least one, and it keeps at least one."""
    count = min(max(1, round(share * len(categories))), len(categories) - 1)
    return set(random.Random(seed).sample(sorted(categories), count))
