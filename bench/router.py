"""How well, how surely and how fast the router picks an agent: any labelled questions, a few examples of each label.

`python -m bench.router --train FILE.csv --test FILE.csv`, with the columns `text` and `category`. Each category is an
agent: its description is the category's name, its examples are drawn from the training file. Out of scope are the
questions of `--oos FILE.csv`, or without it those of the categories that `--hold-out` keeps from the router.
"""

from __future__ import annotations

import argparse
import functools
import random
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from rich.table import Table

from bench.report import console
from bench.router_data import Question, Unusable, check_categories, few_shot, kept_back, read_questions
from bench.router_figures import EXAMPLES, Quality, Speed, agreement, scope, speed
from trunkline_router.classifiers.classify import Classifier, RouteCard, Verdict
from trunkline_router.classifiers.encoder import SentenceEncoder
from trunkline_router.classifiers.few_shot import FewShotClassifier
from trunkline_router.classifiers.lexical import LexicalClassifier
from trunkline_router.classifiers.weights import Tensor, find

Make = Callable[[], Classifier]


class Remembering(SentenceEncoder):
    """Embeds each text once, for the repetitions ask the same questions."""

    @functools.cached_property
    def known(self) -> dict[str, Tensor]:
        return {}

    def embed(self, texts: Sequence[str]) -> Tensor:
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        self.known.update(zip(new, super().embed(new), strict=True))
        return np.array([self.known[text] for text in texts]).reshape(len(texts), self.features)


@dataclass(frozen=True)
class Data:
    train: Sequence[Question]
    test: Sequence[Question]
    outside: Sequence[Question] | None


def read(options: argparse.Namespace) -> Data:
    """Raises Unusable."""
    train, test = read_questions(options.train), read_questions(options.test)
    check_categories(options.train, train, options.test, test)
    return Data(train, test, read_questions(options.oos, labelled=False) if options.oos else None)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.router", description=__doc__)
    parser.add_argument("--train", type=Path, required=True, metavar="FILE.csv", help="where the examples are drawn")
    parser.add_argument("--test", type=Path, required=True, metavar="FILE.csv", help="the questions to be routed")
    parser.add_argument("--oos", type=Path, metavar="FILE.csv", help="questions that are nobody's; needs only `text`")
    parser.add_argument("--hold-out", type=float, default=0.25, help="without --oos: the share of categories kept back")
    parser.add_argument("--shots", type=_shots, default=(10,), help="examples of each category: 5,10,50,full")
    parser.add_argument("--seed", type=int, default=0, help="of the first repetition")
    parser.add_argument(
        "--repeat", type=int, default=5, help="repetitions, each with examples of its own; of `full` one"
    )
    parser.add_argument("--only", choices=("embedding", "lexical"), help="one classifier instead of both")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON document")
    return parser.parse_args()


def _shots(text: str) -> tuple[int | None, ...]:
    """None: all there are."""
    wrong = [each for each in text.split(",") if each != "full" and not (each.isdecimal() and int(each))]
    if wrong:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r} is neither a number from 1 on nor `full`")
    return tuple(None if each == "full" else int(each) for each in text.split(","))


def makers(only: str | None, questions: Sequence[str] = ()) -> dict[str, Make]:
    """How each classifier is made; it knows `questions` already. Raises Unusable when the weights are not there."""
    made: dict[str, Make] = {}
    if only != "lexical":
        folder = find()
        if folder is None:
            raise Unusable("The encoder's weights are not installed: run `make`, or measure with --only lexical.")
        made["embedding"] = functools.partial(_by_meaning, folder, questions)
    if only != "embedding":
        made["lexical"] = LexicalClassifier
    return made


def _by_meaning(folder: Path, questions: Sequence[str]) -> Classifier:
    if not questions:
        return FewShotClassifier(SentenceEncoder.load(folder), most_examples=sys.maxsize)
    encoder = Remembering.load(folder)
    _say(f"embedding {len(questions):,} questions")
    encoder.embed(questions)
    return FewShotClassifier(encoder, most_examples=sys.maxsize)


def quality(classifier: Classifier, data: Data, shots: int | None, hold_out: float, seed: int) -> Quality:
    """One draw of examples."""
    routes = few_shot(data.train, shots, seed)
    verdicts = _verdicts(classifier, routes, data.test)
    accuracy, ece = agreement(verdicts, data.test)
    if data.outside is not None:
        return Quality(accuracy, ece, *scope(verdicts, [classifier.classify(each.text) for each in data.outside]))
    away = kept_back({route.label for route in routes}, hold_out, seed)
    asked = _verdicts(classifier, [route for route in routes if route.label not in away], data.test)
    inside, outside = (
        [verdict for verdict, question in zip(asked, data.test, strict=True) if (question.category in away) == out]
        for out in (False, True)
    )
    return Quality(accuracy, ece, *scope(inside, outside))


def _verdicts(classifier: Classifier, routes: Sequence[RouteCard], questions: Sequence[Question]) -> list[Verdict]:
    classifier.fit(routes)
    return [classifier.classify(question.text) for question in questions]


def measure(data: Data, options: argparse.Namespace) -> dict[str, Any]:
    """Speed first, while the process is as small as the router's."""
    routes, asked = few_shot(data.train, EXAMPLES, options.seed), [question.text for question in data.test]
    random.Random(options.seed).shuffle(asked)
    speeds = {name: speed(make, routes, asked) for name, make in makers(options.only).items()}
    seeds = range(options.seed, options.seed + options.repeat)
    found: dict[str, dict[str, list[Quality]]] = {}
    for name, make in makers(options.only, asked + [each.text for each in data.outside or ()]).items():
        classifier, by_shots = make(), found.setdefault(name, {})
        for shots in options.shots:
            for seed in seeds if shots else seeds[:1]:
                _say(f"{name}: {shots or 'all'} examples of each category, seed {seed}")
                one = quality(classifier, data, shots, options.hold_out, seed)
                by_shots.setdefault(str(shots or "full"), []).append(one)
    return {
        "categories": len(routes),
        "seeds": list(seeds),
        "outside": str(options.oos) if options.oos else f"{options.hold_out:g} of the categories, kept back",
        "published": PUBLISHED,
        "quality": found,
        "speed": speeds,
    }


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def show(found: Mapping[str, Any]) -> None:
    title = f"{found['categories']} categories, seeds: {len(found['seeds'])}; out of scope: {found['outside']}"
    measured = {f"{name}, {shots}": each for name, all_ in found["quality"].items() for shots, each in all_.items()}
    qualities = Table(title=title, title_justify="left")
    for heading in ("classifier, examples of each category", *measured):
        qualities.add_column(heading, justify="right" if heading in measured else "left")
    for field in fields(Quality):
        each = [spread([getattr(one, field.name) for one in all_]) for all_ in measured.values()]
        qualities.add_row(SAID[field.name], *(f"{mean:.3f} ± {deviation:.3f}" for mean, deviation in each))
    console.print(qualities)
    console.print("Published: " + "; ".join(f"{name}: {accuracy:.3f}" for name, accuracy in PUBLISHED.items()))
    speeds = Table(title="One core; ours learns 20 routes with 10 examples each", title_justify="left")
    for heading in ("", *found["speed"]):
        speeds.add_column(heading, justify="right" if heading else "left")
    for field in fields(Speed):
        speeds.add_row(SAID[field.name], *(f"{getattr(one, field.name):.3g}" for one in found["speed"].values()))
    console.print(speeds)


PUBLISHED = {"accuracy of CPFT (Zhang et al. 2021), fine-tuned, on BANKING77 with 10 examples": 0.872}
SAID = {
    "accuracy": "accuracy",
    "ece": "expected calibration error",
    "outside_found": "out of scope found, at 95 % of those in scope let in",
    "passed": "in scope let in, by its own judgement",
    "refused": "out of scope kept out, by its own judgement",
    "cpu_ms": "a decision, ms of a core",
    "p50_ms": "a decision, p50 ms",
    "p99_ms": "a decision, p99 ms",
    "refit_s": "learning 20 routes with 10 examples, s",
    "update_s": "learning one more example, s",
    "rss_mib_before": "resident memory before, MiB",
    "rss_mib": "resident memory, MiB",
}


def _as_json(found: Mapping[str, Any]) -> str:
    means = {
        name: {shots: _means(each) for shots, each in by_shots.items()} for name, by_shots in found["quality"].items()
    }
    speeds = {name: asdict(one) for name, one in found["speed"].items()}
    return orjson.dumps(dict(found) | {"quality": means, "speed": speeds}, option=orjson.OPT_INDENT_2).decode()


def _means(found: Sequence[Quality]) -> dict[str, dict[str, float]]:
    return {
        field.name: dict(zip(("mean", "sd"), spread([getattr(one, field.name) for one in found]), strict=True))
        for field in fields(Quality)
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    options = arguments()
    try:
        found = measure(read(options), options)
    except Unusable as error:
        sys.exit(str(error))
    if options.json:
        print(_as_json(found))
    else:
        show(found)


if __name__ == "__main__":
    main()
