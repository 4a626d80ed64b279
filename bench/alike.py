"""How often an answer that is given again to a question that means the same is the wrong one, and how that is learnt.

`python -m bench.alike --questions FILE.csv …`, with the columns `text` and `category`. Questions are asked in a random
order by many users of one agent that shares its answers. One whose words were answered before gets that answer; else
the nearest earlier one's, if it is near enough; else it is answered anew. An answer of another category is wrong.
With `--feedback`, so many of those who got an answer again say whether it was right, and the threshold learns.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table

from bench.interval import CONFIDENCE, interval
from bench.report import console
from bench.router_data import Question, Unusable, read_questions
from trunkline.cache import CacheKey
from trunkline_router.classifiers.encoder import SentenceEncoder
from trunkline_router.classifiers.weights import Tensor, find
from trunkline_router.deciding.wording import essentials, standard_form
from trunkline_router.reuse.threshold import START, Threshold
from trunkline_router.reuse.vectors import Vectors

GROUP = CacheKey("bench.shared.all")
USERS = 50
EVERY = 500
"""Questions embedded between two words on progress."""


@dataclass(frozen=True)
class Figures:
    """Of `asked` questions: answers given again because the words were the same, or alike; and those of another
    category. `threshold`: at the end.
    """

    start: float
    feedback: float
    guarded: bool
    asked: int
    same: int
    same_wrong: int
    alike: int
    alike_wrong: int
    threshold: float

    @property
    def told(self) -> dict[str, Any]:
        """With the intervals in which the shares of wrong answers lie."""
        shares = {
            "same_wrong_share": interval(self.same_wrong, self.same),
            "alike_wrong_share": interval(self.alike_wrong, self.alike),
        }
        return asdict(self) | shares | {"confidence": CONFIDENCE}


def replayed(
    questions: Sequence[Question], points: Mapping[str, Tensor], start: float, feedback: float, *, guarded: bool
) -> Figures:
    """Without `guarded`, numbers, negations and names are not compared."""
    vectors, threshold, draw = Vectors(most=len(questions)), Threshold(), random.Random(1)
    threshold.value = start
    answered: dict[str, str] = {}
    counts = dict.fromkeys(("same", "same_wrong", "alike", "alike_wrong"), 0)
    for question in questions:
        form = standard_form(question.text)
        if form in answered:
            counts["same"] += 1
            counts["same_wrong"] += answered[form] != question.category
            continue
        must = essentials(question.text if guarded else "")
        found = vectors.nearest(GROUP, must, points[question.text], threshold.value)
        if found is None:
            answered[form] = question.category
            vectors.add(GROUP, CacheKey(form), must, points[question.text])
            continue
        wrong = answered[found[0]] != question.category
        counts["alike"] += 1
        counts["alike_wrong"] += wrong
        if draw.random() < feedback:
            threshold.judge(found[1], -1 if wrong else 1, f"user {draw.randrange(USERS)}")
            if wrong:
                vectors.discard(GROUP, found[0])
                del answered[found[0]]
    return Figures(start, feedback, guarded, len(questions), **counts, threshold=round(threshold.value, 4))


def embedded(texts: Sequence[str]) -> dict[str, Tensor]:
    """Raises Unusable."""
    folder = find()
    if folder is None:
        raise Unusable("The sentence encoder's weights are not installed; `trunkline router` says how to get them.")
    encoder = SentenceEncoder.load(folder)
    found: dict[str, Tensor] = {}
    for begin in range(0, len(texts), EVERY):
        some = texts[begin : begin + EVERY]
        found.update(zip(some, encoder.embed(some), strict=True))
        print(f"\rembedded {len(found)} of {len(texts)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.alike", description=__doc__)
    parser.add_argument("--questions", type=Path, required=True, nargs="+", metavar="FILE.csv")
    parser.add_argument("--most", type=int, default=0, help="only so many questions; 0: all")
    parser.add_argument("--start", type=float, nargs="+", default=[START], help="thresholds to begin with")
    parser.add_argument("--feedback", type=float, nargs="+", default=[0.0, 0.05, 1.0], help="shares of who say so")
    parser.add_argument("--unguarded", action="store_true", help="do not compare numbers, negations and names")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON document")
    options = parser.parse_args()
    try:
        questions = [question for path in options.questions for question in read_questions(path)]
        random.Random(options.seed).shuffle(questions)
        questions = questions[: options.most or len(questions)]
        points = embedded(list(dict.fromkeys(question.text for question in questions)))
    except Unusable as error:
        parser.exit(2, f"{error}\n")
    figures = [
        replayed(questions, points, start, share, guarded=not options.unguarded)
        for start in options.start
        for share in options.feedback
    ]
    if options.json:
        print(orjson.dumps([each.told for each in figures], option=orjson.OPT_INDENT_2).decode())
    else:
        show(figures)


def show(figures: Sequence[Figures]) -> None:
    names = ("starts at", "feedback", "asked", "same words", "wrong", "alike", "wrong", "share", "ends at")
    table = Table(*names, title=f"Answers given again; shares with {CONFIDENCE:.0%} confidence (Wilson)")
    for each in figures:
        counts = (each.asked, each.same, each.same_wrong, each.alike, each.alike_wrong)
        low, high = interval(each.alike_wrong, each.alike)
        shares = f"{low:.2%} to {high:.2%}", f"{each.threshold:g}"
        table.add_row(f"{each.start:g}", f"{each.feedback:.0%}", *map(str, counts), *shares)
    console.print(table)


if __name__ == "__main__":
    main()
