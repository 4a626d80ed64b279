"""What the platform saves, and which quality is left: the same questions, everything to the large model, and not.

`python -m bench.cost`. A day at a bank's support desk, drawn from labelled questions (columns `text` and `category`):
topics of Zipf's popularity, a share of questions that were asked before, conversations of several turns, some users
who say what an answer was worth. The models are stand-ins of a stated quality behind their real names, at the real
prices. Everything else is real: the bus, the router with its classifier, the workers, the tool, and the log that the
sums are taken from. The platform is set up as one who cares for right answers would: the router asks the small model
what it is not sure of, and the small tier's answers are checked. All that is assumed is printed above the figures;
nothing of it was chosen by its result.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import structlog
from rich.console import Console
from rich.progress import Progress

from bench import cost_bank, cost_stream
from bench.cost_assumed import NOTICED, ROUTED, Assumed, Judge, Models, Opinions, Variant, variants
from bench.cost_books import books, compare, with_log
from bench.cost_model import checking
from bench.cost_plot import plot
from bench.cost_report import Result, as_json, show
from bench.cost_reuse import reuse
from bench.cost_sides import baseline, platform
from bench.router_data import Unusable, read_questions
from trunkline.agent import AUTO, LARGE, SMALL, Check
from trunkline.contracts.errors import TrunklineError
from trunkline.prices import Money, PriceBook

DATA = Path("../shared/data/banking77")
SMALL_MODEL, LARGE_MODEL = "openai:gpt-6-luna", "openai:gpt-6.1-sol"
"""What the tiers are by default where there is a key of that provider."""
REPEAT = 0.45
QUESTIONS, QUESTIONS_OF_A_VARIANT = 1_200, 400
Advance = Callable[[], None]


@dataclass(frozen=True)
class Texts:
    """Questions by intent: the router's examples, and those that are asked."""

    taught: Mapping[str, Sequence[str]]
    asked: Mapping[str, Sequence[str]]


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.cost", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER", help="with train.csv and test.csv")
    counts = f"of each stream; else {QUESTIONS:,}, and {QUESTIONS_OF_A_VARIANT:,} with --variants"
    parser.add_argument("--questions", type=_count, metavar="N", help=counts)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeat", type=_share, default=REPEAT, help="the share of questions asked before")
    parser.add_argument("--feedback", type=_share, default=Opinions().share, help="the share of answers with a verdict")
    parser.add_argument("--model", choices=(AUTO, SMALL, LARGE), default=AUTO, help="of all agents")
    checked = "the share of wrong answers that the small tier's check notices; 0: no check"
    parser.add_argument("--check", type=_share, default=NOTICED, help=checked)
    parser.add_argument("--judge", choices=get_args(Judge), default="model", help="who checks: a function is free")
    routed = "the share of the router's questions that the small model answers right; 0: it is not asked"
    parser.add_argument("--cascade", type=_share, default=ROUTED, help=routed)
    parser.add_argument("--alike", action="store_true", help="also give answers again to questions that mean the same")
    parser.add_argument("--variants", action="store_true", help="also with more and less of it, one after another")
    parser.add_argument("--small", default=SMALL_MODEL, metavar="PROVIDER:MODEL", help="whose prices are taken")
    parser.add_argument("--large", default=LARGE_MODEL, metavar="PROVIDER:MODEL", help="whose prices are taken")
    parser.add_argument("--plot", type=_svg, metavar="FILE.svg", help="draw the first result")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON document")
    return parser.parse_args(given)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 10:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 10 on")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share: a number from 0 to below 1")
    return share


def _svg(text: str) -> Path:
    if not text.endswith(".svg"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .svg, and nothing else can be drawn")
    return Path(text)


def read(folder: Path, seed: int) -> Texts:
    """Each text once, by its first category; what the router learns from is not asked. Raises Unusable."""
    category: dict[str, str] = {}
    for question in (*read_questions(folder / "train.csv"), *read_questions(folder / "test.csv")):
        category.setdefault(question.text, question.category)
    by_intent: dict[str, list[str]] = defaultdict(list)
    for text in sorted(category, key=partial(cost_stream.chance, seed, "taught")):
        by_intent[category[text]].append(text)
    cut = cost_bank.EXAMPLES
    few = [intent for intent, texts in by_intent.items() if len(texts) <= cut]
    if few:
        raise Unusable(f"{folder} has at most {cut} questions of {few[0]}. Add some: {cut} are the router's examples.")
    return Texts(
        {intent: texts[:cut] for intent, texts in by_intent.items()},
        {intent: texts[cut:] for intent, texts in by_intent.items()},
    )


async def measure(
    variant: Variant, texts: Texts, *, questions: int, seed: int, folder: Path, progress: Advance
) -> Result:
    """One stream, asked of both sides. Raises Unusable, and UnknownPrice for a model that has none."""
    told, room = variant.told, sum(map(len, texts.asked.values()))
    if questions > room:
        raise Unusable(f"{told.data} has {room:,} questions to ask, not {questions:,}. Ask for fewer.")
    models, prices = told.models, PriceBook.load()
    stream = cost_stream.drawn(texts.asked, questions, variant.repeat, seed)
    await prices.prepare(models.small, models.large)
    agents = cost_bank.agents(texts.taught, told.model, _check(told, stream), alike=told.alike)
    theirs = await baseline(stream, agents, models, prices, progress)
    played = await platform(stream, agents, told, prices, folder, progress)
    runs = books(played.log)
    ours = list(with_log(played.answered, runs, models))
    return Result(
        variant,
        stream,
        compare(ours, theirs, runs, models, prices),
        reuse(ours, runs),
        charged=sum((prices.price(each.model, each.usage) for each in played.paid), Money()),
        told=sum((Money.parse(run.answer.cost or "0") for run in runs.values()), Money()),
        routing=sum((run.routing for run in runs.values()), Money()),
        seconds=played.seconds,
    )


def _check(told: Assumed, stream: cost_stream.Stream) -> Check | Literal["model"] | None:
    if not told.check:
        return None
    return checking(stream, told.check) if told.judge == "function" else "model"


async def measured(wanted: Iterable[Variant], texts: Texts, *, questions: int, seed: int) -> list[Result]:
    """One after the other, with progress."""
    found = []
    with Progress(console=Console(stderr=True), transient=True) as bar:
        for variant in wanted:
            task = bar.add_task(variant.name, total=2 * questions)
            with tempfile.TemporaryDirectory(prefix="trunkline-cost-") as folder:
                result = await measure(
                    variant,
                    texts,
                    questions=questions,
                    seed=seed,
                    folder=Path(folder),
                    progress=partial(bar.advance, task),
                )
            found.append(result)
    return found


def main() -> None:
    options = arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    models, opinions = Models(options.small, options.large), Opinions(share=options.feedback)
    told = Assumed(
        str(options.data),
        models,
        opinions,
        options.model,
        options.check,
        options.judge,
        options.cascade,
        alike=options.alike,
    )
    wanted = variants(told, options.repeat)
    wanted = wanted if options.variants else wanted[:1]
    questions = options.questions or (QUESTIONS_OF_A_VARIANT if options.variants else QUESTIONS)
    try:
        texts = read(options.data, options.seed)
        results = asyncio.run(measured(wanted, texts, questions=questions, seed=options.seed))
        if options.plot:
            plot(results[0].found, results[0].repeats, options.plot)
    except (Unusable, TrunklineError, OSError) as error:
        sys.exit(str(error))
    if options.json:
        print(as_json(results))
    else:
        show(results)


if __name__ == "__main__":
    main()
