"""What bench/cost found, for people and for machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from rich.table import Table

from bench import cost_bank, cost_model, cost_stream
from bench.cost_assumed import Assumed, Variant
from bench.cost_books import LEVERS, Account, Comparison
from bench.cost_model import DOUBTED, FIRST_SECONDS, TOKENS_A_SECOND, Quality
from bench.cost_reuse import FATES, Fate, Given, Reuse
from bench.cost_sides import AT_ONCE
from bench.cost_stream import Stream
from bench.interval import CONFIDENCE, interval
from bench.report import console
from trunkline.agent import SMALL
from trunkline.contracts.dialog import Usage
from trunkline.prices import Money, PriceBook
from trunkline_router.settings import RouterSettings

GOAL, GOAL_WRONG = 0.60, 0.005
SAID = {
    "answer_cache": "answers given again",
    "alike_cache": "… to questions alike",
    "model_cache": "model replies reused",
    "tier": "the small model",
    "history": "shorter history",
    "tools": "fewer tools",
    "results": "shorter results",
    "prompt_cache": "provider's prompt cache",
    "cascade": "the router's calls of a model",
}
BECAME: Mapping[Fate, str] = {
    "served": "answered again",
    "account": "not: answered by a look into the customer's own account",
    "within": "not: asked within a conversation, where what was said before may matter",
    "only within": "not: had only been asked within conversations",
    "worded": "not: had only been asked in other words, or typed otherwise",
    "desk": "not: sent to another desk than before",
    "tier": "not: for another tier of models than before",
    "rejected": "not: somebody had said that the answer was wrong",
    "other": "not: for another reason",
}
SIDES: Mapping[str, Callable[[Account], str]] = {
    "questions": lambda side: f"{side.questions:,}",
    "answered": lambda side: f"{side.answered:,}",
    "model calls": lambda side: f"{side.calls:,}",
    "input tokens": lambda side: f"{side.usage.input_tokens:,}",
    "of them in the provider's cache": lambda side: f"{side.usage.cache_read_tokens:,}",
    "output tokens": lambda side: f"{side.usage.output_tokens:,}",
    "cost, US dollars": lambda side: f"{side.cost.dollars:.4f}",
    "… of 1,000 right answers": lambda side: f"{float(side.cost.dollars) * 1000 / (side.right * side.questions):.4f}",
    "right answers": lambda side: f"{side.right:.1%}",
    "p50, s": lambda side: f"{side.p50:.2f}",
}


@dataclass(frozen=True)
class Result:
    """One stream, asked of both sides. `charged`: what the provider's book comes to, `told`: what the answers say that
    they cost; `routing`: the router's calls among it. `seconds`: for the platform alone.
    """

    variant: Variant
    stream: Stream
    found: Comparison
    reuse: Reuse
    charged: Money
    told: Money
    routing: Money
    seconds: float

    @property
    def repeats(self) -> float:
        """The share of the questions that had been asked before."""
        return sum(self.reuse.fates.values()) / self.found.platform.questions


VARIANT: Mapping[str, Callable[[Result], str]] = {
    "": lambda result: result.variant.name,
    "saved": lambda result: f"{result.found.saved:.1%}",
    "right, base": lambda result: f"{result.found.baseline.right:.1%}",
    "right, ours": lambda result: f"{result.found.platform.right:.1%}",
    "right desk": lambda result: f"{result.found.routed_right:.1%}",
    "large model": lambda result: f"{result.found.large:.1%}",
    "from a cache": lambda result: f"{result.reuse.answers:,}",
    "… wrong": lambda result: f"{sum(each.wrong for each in result.reuse.given.values()):,}",
    "p50, s": lambda result: f"{result.found.platform.p50:.2f}",
}


def assumptions(told: Assumed, stream: Stream) -> list[str]:
    """All that the figures stand on and nobody measured."""
    quality, prices = Quality(), PriceBook.load()
    models = (
        f"Models: stand-ins behind the names {told.models.large} and {told.models.small}, priced by "
        f"{prices.version}: {_priced(told.models.large, prices)} and {_priced(told.models.small, prices)} dollars a "
        f"million tokens (input, cached, output). Right answers: large {quality.large:.0%}; small "
        f"{quality.small_easy:.0%} of easy and {quality.small_hard:.0%} of hard questions. Hard: "
        f"{cost_stream.HARD_INTENTS:.0%} of the intents, and "
        f"{cost_stream.HARD_ELSE:.0%} of the other questions; each wording is drawn for itself. At the wrong desk "
        f"every answer is wrong. Replies: log-normal, median {cost_model.MEDIAN_TOKENS} tokens, sigma "
        f"{cost_model.SIGMA:g}; {cost_model.CHARACTERS} characters a token."
    )
    provider = (
        f"Provider's prompt cache, for both: beginnings from {cost_model.CACHED_FROM:,} tokens on, for "
        f"{cost_model.CACHED_SECONDS:g} s of the stream's time; writing it costs nothing more."
    )
    sides = (
        "Baseline: every question to the large model, with the instructions of the desk that knows (nobody misroutes "
        f"it) and all that was said. Platform: as shipped; agents with model {told.model}, reuse shared, "
        f"{'also for questions alike, ' if told.alike else ''}{cost_bank.HISTORY_TOKENS:,} tokens of history."
    )
    takes = " and ".join(
        f"{FIRST_SECONDS[tier]:g} s + tokens / {TOKENS_A_SECOND[tier]:g} ({tier})" for tier in FIRST_SECONDS
    )
    latency = f"Latency: as measured with {AT_ONCE} questions at a time, and what models take, unwaited for: {takes}."
    return [
        _of_stream(told.data, stream),
        models,
        provider,
        sides,
        _router(told),
        _check(told),
        _verdicts(told),
        latency,
    ]


def _priced(model: str, prices: PriceBook) -> str:
    """Per million tokens of a short prompt."""
    thousand = Usage(input_tokens=1000), Usage(input_tokens=1000, cache_read_tokens=1000), Usage(output_tokens=1000)
    return " / ".join(f"{prices.price(model, usage).dollars * 1000:f}".rstrip("0").rstrip(".") for usage in thousand)


def _router(told: Assumed) -> str:
    confident = RouterSettings(router_model=SMALL if told.cascade else "").confident
    if not told.cascade:
        return f"Router: its own classifier alone, and the reception for what that is less sure of than {confident:g}."
    return (
        f"Router: its own classifier; for what that is less sure of than {confident:g}, the small model, at its price "
        f"(router_model), which names the right desk for {told.cascade:.0%} of those questions, whichever they are, "
        "and another desk for the rest."
    )


def _check(told: Assumed) -> str:
    if not told.check:
        return "Check of the small tier's answers: none."
    who = (
        "by the small model, at its price" if told.judge == "model" else "by a function of the team's own, for nothing"
    )
    return (
        f"Check of the small tier's answers: {who}; it notices {told.check:.0%} of the wrong ones and doubts "
        f"{DOUBTED:.0%} of the right ones. What does not pass is asked of the large model, at the same desk."
    )


def _verdicts(told: Assumed) -> str:
    return (
        f"Verdicts: {told.opinions.share:.0%} of the answers get one, {told.opinions.right:.0%} of which are right; "
        f"{told.opinions.corrected:.0%} of those who were sent to the wrong desk name the right one."
    )


def _of_stream(data: str, stream: Stream) -> str:
    asked = stream.asked

    def share(holds: Callable[[cost_stream.Asked], bool]) -> str:
        return f"{sum(map(holds, asked)) / len(asked):.0%}"

    return (
        f"Stream: {len(asked):,} questions of {data}, each text under its first category; seed {stream.seed}, in "
        f"{cost_stream.HOURS:g} hours; intents by Zipf {cost_stream.ZIPF:g}; "
        f"{share(lambda each: each.kind == 'same')} were asked before to the letter, "
        f"{share(lambda each: each.kind == 'light')} typed a little differently, "
        f"{share(lambda each: each.kind == 'new')} never, though {share(lambda each: each.paraphrase)} paraphrase one "
        "that was; "
        f"{share(lambda each: each.turn > 0)} in a conversation that "
        f"had begun; {share(lambda each: stream.is_hard(each.text))} hard; "
        f"{share(lambda each: each.intent in cost_bank.PERSONAL)} need a look into the customer's account: a tool "
        "call, and never an answer from the cache."
    )


def show(results: Sequence[Result]) -> None:
    """The first one in full, and what each comes to."""
    first = results[0]
    for line in assumptions(first.variant.told, first.stream):
        console.print(line, highlight=False)
    _show_sides(first)
    _show_levers(first)
    _show_fates(first.reuse)
    if len(results) > 1:
        _show_variants(results)


def _show_sides(result: Result) -> None:
    found = result.found
    title = f"With {result.repeats:.0%} repeats: {found.saved:.1%} saved (goal {GOAL:.0%})"
    table = Table(title=title, title_justify="left")
    for heading in ("", "baseline", "platform"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, figure in SIDES.items():
        table.add_row(name, figure(found.baseline), figure(found.platform))
    console.print(table)
    for line in _in_words(result):
        console.print(line, highlight=False)


def _in_words(result: Result) -> Iterator[str]:
    found = result.found
    yield (
        f"Routed: {found.routed_right:.1%} to the right desk, {found.reception:.1%} to the reception, "
        f"{found.refused:,} refused; the router asked the small model {found.classified:,} times."
    )
    yield (
        f"Checked: {found.checked:,} answers, of which {found.escalated:,} did not pass; the large model answered "
        f"{found.large:.1%} of the questions."
    )
    for cache, given in result.reuse.given.items():
        if given.answers:
            low, high = interval(given.wrong, given.answers)
            yield (
                f"{SAID[cache].capitalize()}: {given.answers:,}, of which {given.wrong:,} to a question of another "
                f"intent: {given.wrong / given.answers:.2%}, with {CONFIDENCE:.0%} confidence {low:.2%} to {high:.2%} "
                f"(Wilson; goal ≤ {GOAL_WRONG:.1%}); {given.inherited / given.answers:.2%} wrong as the model was."
            )
    yield f"The platform took {result.seconds:.0f} s."


def _show_variants(results: Sequence[Result]) -> None:
    table = Table(title=f"What each brings, {len(results[0].stream.asked):,} questions", title_justify="left")
    for heading in VARIANT:
        table.add_column(heading, justify="right" if heading else "left")
    for result in results:
        table.add_row(*(figure(result) for figure in VARIANT.values()))
    console.print(table)


def _show_levers(result: Result) -> None:
    found, given = result.found, result.reuse.given
    table = Table(title="What brought it, in dollars", title_justify="left")
    for heading in ("lever", "questions", "share", "dollars", "on the log"):
        table.add_column(heading, justify="left" if heading == "lever" else "right")
    whole = found.baseline.cost.pico - found.platform.cost.pico
    for lever in LEVERS:
        served = f"{given[lever].answers:,}" if lever in given else ""
        noted = f"{found.noted[lever].dollars:z.4f}"
        table.add_row(SAID[lever], served, *_part(found.levers[lever], whole), noted)
    table.add_row("what is left", "", *_part(found.rest, whole), "")
    console.print(table)
    console.print(
        "Dollars: of what the large model would have cost for everything. On the log: of what this run of the platform "
        "would have paid otherwise, as its notes say. Left: misrouted questions, other lengths.",
        highlight=False,
    )


def _show_fates(reuse: Reuse) -> None:
    table = Table(title="What became of the questions that had been asked before", title_justify="left")
    for heading in ("", "questions", "share"):
        table.add_column(heading, justify="right" if heading else "left")
    whole = sum(reuse.fates.values())
    for fate in FATES:
        if count := reuse.fates.get(fate, 0):
            table.add_row(BECAME[fate], f"{count:,}", f"{count / whole:.1%}")
    console.print(table)


def _part(money: Money, whole: int) -> tuple[str, str]:
    return f"{money.pico / whole:z.1%}" if whole else "-", f"{money.dollars:z.4f}"


def as_json(results: Sequence[Result]) -> str:
    models = results[0].variant.told.models
    document = {"small": models.small, "large": models.large, "results": [_plain(result) for result in results]}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _plain(result: Result) -> dict[str, Any]:
    found, variant = result.found, result.variant
    return {
        "variant": variant.name,
        "seed": result.stream.seed,
        "repeat": variant.repeat,
        "assumptions": assumptions(variant.told, result.stream),
        "saved": found.saved,
        "baseline": _plain_side(found.baseline),
        "platform": _plain_side(found.platform),
        "levers": {lever: str(money) for lever, money in found.levers.items()},
        "noted": {lever: str(money) for lever, money in found.noted.items()},
        "rest": str(found.rest),
        "from_cache": {cache: _plain_given(given) for cache, given in result.reuse.given.items()},
        "asked_before": {fate: result.reuse.fates.get(fate, 0) for fate in FATES},
        "routed_right": found.routed_right,
        "reception": found.reception,
        "refused": found.refused,
        "asked_large": found.large,
        "checked": found.checked,
        "escalated": found.escalated,
        "classified": found.classified,
        "provider_charged": str(result.charged),
        "answers_cost": str(result.told),
        "routing_cost": str(result.routing),
        "seconds": round(result.seconds, 1),
    }


def _plain_given(given: Given) -> dict[str, Any]:
    low, high = interval(given.wrong, given.answers)
    return {
        "answers": given.answers,
        "wrong": given.wrong,
        "wrong_from": low,
        "wrong_to": high,
        "confidence": CONFIDENCE,
        "inherited": given.inherited,
    }


def _plain_side(side: Account) -> dict[str, Any]:
    return {
        "questions": side.questions,
        "answered": side.answered,
        "calls": side.calls,
        "input_tokens": side.usage.input_tokens,
        "cache_read_tokens": side.usage.cache_read_tokens,
        "output_tokens": side.usage.output_tokens,
        "cost": str(side.cost),
        "right": side.right,
        "p50": side.p50,
    }
