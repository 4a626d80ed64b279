"""What model calls cost."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache

import genai_prices.data_snapshot
import pytest
from genai_prices import Usage as Tokens
from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices
from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts.dialog import Usage
from trunkline.contracts.errors import UnknownPrice
from trunkline.prices import Money, PriceBook
from trunkline.prices.rates import FREE, Rate, Rates

DAY = datetime(2026, 6, 1, tzinfo=UTC)
CACHED = Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=400, cache_write_tokens=100)
OWN = Rates(Rate(10_000_000), Rate(20_000_000), cache_read=Rate(1_000_000))
"""10, 20 and 1 dollars per million tokens."""

MTOK = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
LISTED = [(provider, model) for provider in providers for model in provider.models]
counts = st.integers(0, 2_000_000)
moments = st.integers(0, 3 * 365 * 24 * 60).map(
    lambda minutes: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    read, write, plain = draw(counts), draw(counts), draw(counts)
    return Usage(
        input_tokens=read + write + plain,
        output_tokens=draw(counts),
        cache_read_tokens=read,
        cache_write_tokens=write,
    )


@cache
def table() -> PriceBook:
    return PriceBook()


def dollars(book: PriceBook, model: str, usage: Usage = CACHED) -> Decimal:
    return book.price(model, usage, DAY).dollars


# --- the shipped table ----------------------------------------------------------------------------------------------


def test_openai_cached_input_is_part_of_the_input() -> None:
    usage = Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=400)
    by_hand = (600 * Decimal("2.50") + 400 * Decimal("1.25") + 100 * Decimal(10)) / 1_000_000
    assert dollars(table(), "openai:gpt-4o", usage) == by_hand == Decimal("0.003")


def test_anthropic_reads_and_writes_of_the_cache_have_prices_of_their_own() -> None:
    by_hand = (500 * Decimal(3) + 400 * Decimal("0.30") + 100 * Decimal("3.75") + 100 * Decimal(15)) / 1_000_000
    assert dollars(table(), "anthropic:claude-sonnet-4-5") == by_hand == Decimal("0.003495")


def test_a_long_prompt_makes_every_token_dearer() -> None:
    """Claude Sonnet 4.5 charges 6 instead of 3, and 22.50 instead of 15, beyond 200,000 tokens."""
    short, long = Usage(input_tokens=200_000, output_tokens=1000), Usage(input_tokens=200_001, output_tokens=1000)
    assert dollars(table(), "anthropic:claude-sonnet-4-5", short) == Decimal("0.615")
    assert dollars(table(), "anthropic:claude-sonnet-4-5", long) == Decimal("1.222506")


@given(st.sampled_from(LISTED), usages(), moments)
def test_every_price_is_the_one_that_the_table_s_own_arithmetic_gives(
    listed: tuple[Provider, ModelInfo], usage: Usage, at: datetime
) -> None:
    """Where an entry is finer than a picodollar a token, as close as that."""
    provider, model = listed
    served = provider.find_model(model.id, all_providers=providers) or model
    price = served.get_prices(at)
    try:
        found = table().price(f"{provider.id}:{model.id}", usage, at)
    except UnknownPrice:
        unpriced = (price.input_mtok is None and usage.input_tokens) or (
            price.output_mtok is None and usage.output_tokens
        )
        assert unpriced or not provider.find_model(model.id, all_providers=providers)
        return
    expected = served.calc_price(_tokens(usage), provider, genai_request_timestamp=at).total_price
    if _whole(price):
        assert found.dollars == expected
    else:
        assert abs(found.dollars - expected) <= (usage.input_tokens + usage.output_tokens) * Decimal("0.5e-12")


def _tokens(usage: Usage) -> Tokens:
    return Tokens(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )


def _whole(price: ModelPrice) -> bool:
    found = [getattr(price, name) for name in MTOK]
    prices = [each.base if isinstance(each, TieredPrices) else each for each in found if each is not None]
    prices += [tier.price for each in found if isinstance(each, TieredPrices) for tier in each.tiers]
    return all(each == each.quantize(Decimal("1e-6"), ROUND_HALF_EVEN) for each in prices)


def test_a_price_table_that_was_downloaded_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        genai_prices.data_snapshot,
        "_custom_snapshot",
        genai_prices.data_snapshot.DataSnapshot(providers=[], from_auto_update=True),
    )
    assert PriceBook().price("openai:gpt-4o", CACHED, DAY) > Money()


def test_some_models_charge_for_each_call_too() -> None:
    """Perplexity's Sonar: 12 dollars for a thousand calls, and one per million tokens."""
    assert dollars(table(), "perplexity:sonar", Usage(input_tokens=1000, output_tokens=500)) == Decimal("0.0135")


def test_a_price_may_change_with_the_hour() -> None:
    """DeepSeek once asked less in the Chinese night."""
    day, night = (
        table().price("deepseek:deepseek-chat", CACHED, datetime(2025, 6, 1, hour, tzinfo=UTC)) for hour in (12, 20)
    )
    assert night < day


# --- unknown prices -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        "openai:no-such-model",
        "nobody:gpt-4o",
        "my-openai:gpt-4o",
        "gpt-4o",
        "house:llama3",
        "ollama:",
        "",
        ":",
        "openai:",
    ],
)
def test_an_unknown_price_is_an_error_and_never_nothing(model: str) -> None:
    """A provider that is merely called like a known one may charge anything."""
    with pytest.raises(UnknownPrice, match="is not known") as caught:
        table().price(model, CACHED, DAY)
    assert "input_per_million" in caught.value.hint
    assert caught.value.data == {"model": model}
    with pytest.raises(UnknownPrice):
        table().worst_case(model, 10, 10, DAY)


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens=1, cache_read_tokens=2),
        Usage(input_tokens=3, cache_read_tokens=2, cache_write_tokens=2),
        Usage(input_tokens=-1),
        Usage(output_tokens=-1),
        Usage(input_tokens=1, cache_read_tokens=-1),
    ],
)
def test_tokens_that_cannot_be_have_no_price(usage: Usage) -> None:
    for model in ("openai:gpt-4o", "house:m", "offline:small"):
        with pytest.raises(UnknownPrice, match="No price fits"):
            PriceBook({"house:m": OWN}).price(model, usage, DAY)


def test_a_price_for_part_of_what_was_used_is_no_price() -> None:
    assert dollars(table(), "openai:text-embedding-3-small", Usage(input_tokens=10)) > 0
    with pytest.raises(UnknownPrice):
        table().price("openai:text-embedding-3-small", Usage(input_tokens=10, output_tokens=1), DAY)


# --- free models and the operator's prices --------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["offline:small", "ollama:llama3"])
def test_models_that_run_here_are_free_unless_the_operator_says_what_they_cost(model: str) -> None:
    assert PriceBook().price(model, CACHED, DAY) == Money()
    assert PriceBook().is_free(model)
    said = PriceBook({model: OWN})
    assert said.price(model, CACHED, DAY) > Money()
    assert not said.is_free(model)


def test_the_operators_price_wins() -> None:
    book = PriceBook({"openai:gpt-4o": OWN, "house:m": OWN})
    by_hand = (500 * Decimal(10) + 400 * Decimal(1) + 100 * Decimal(10) + 100 * Decimal(20)) / 1_000_000
    assert dollars(book, "openai:gpt-4o") == dollars(book, "house:m") == by_hand
    assert dollars(book, "openai-responses:gpt-4o") == dollars(book, "openai-chat:gpt-4o") == by_hand


def test_the_operators_price_of_the_model_that_was_asked_is_that_of_the_one_that_served_it() -> None:
    """Providers answer with a more exact name, and private servers with the path of a file."""
    book = PriceBook({"house:m": OWN, "openai:gpt-4o": OWN})
    for served, asked in (("house:/srv/m.gguf", "house:m"), ("openai:gpt-4o-2024-08-06", "openai:gpt-4o")):
        assert book.price(served, CACHED, DAY, asked=asked) == book.price("house:m", CACHED, DAY)
    with pytest.raises(UnknownPrice):
        book.price("house:/srv/m.gguf", CACHED, DAY)
    with pytest.raises(UnknownPrice):
        book.price("house:other", CACHED, DAY, asked="offline:small")


def test_the_version_tells_tables_apart() -> None:
    plain, own = PriceBook(), PriceBook({"house:m": OWN})
    assert plain.version.startswith("genai-prices ")
    assert own.version.startswith(f"{plain.version} + ")
    assert own.version == PriceBook({"house:m": replace(OWN)}).version
    others = [{"house:m": FREE}, {"house:n": OWN}, {"house:m": replace(OWN, cache_read=None)}]
    assert len({plain.version, own.version, *(PriceBook(other).version for other in others)}) == 5


# --- exactness and bounds -------------------------------------------------------------------------------------------


def rate() -> st.SearchStrategy[Rate]:
    prices = st.integers(0, 10**10)
    steps = st.lists(st.tuples(st.integers(0, 10**6), prices), max_size=2, unique_by=lambda step: step[0])
    return st.builds(Rate, prices, steps.map(lambda found: tuple(sorted(found))))


rates = st.builds(Rates, rate(), rate(), st.none() | rate(), st.none() | rate(), st.integers(0, 10**12))


@given(st.sampled_from(["anthropic:claude-haiku-4-5", "openai:gpt-4o", "house:m"]), st.lists(usages(), max_size=20))
def test_the_sum_of_the_parts_is_the_price_of_the_whole(model: str, parts: list[Usage]) -> None:
    """To the picodollar, where no price depends on the length of a call."""
    book = PriceBook({"house:m": OWN})
    total = sum(parts, Usage())
    assert sum((book.price(model, part, DAY) for part in parts), Money()) == book.price(model, total, DAY)


@given(rates, usages(), counts, counts)
def test_no_call_costs_more_than_the_worst_case(own: Rates, usage: Usage, more_input: int, more_output: int) -> None:
    """Of as many tokens or more, however they are cached and whatever steps the prices have."""
    book = PriceBook({"house:m": own})
    worst = book.worst_case("house:m", usage.input_tokens + more_input, usage.output_tokens + more_output + 1, DAY)
    assert book.price("house:m", usage, DAY) <= worst


@given(st.sampled_from(LISTED), usages(), moments, st.integers(0, 3600))
def test_the_worst_case_holds_for_the_whole_table_and_while_a_call_lasts(
    listed: tuple[Provider, ModelInfo], usage: Usage, begun: datetime, seconds: int
) -> None:
    provider, model = listed
    try:
        worst = table().worst_case(f"{provider.id}:{model.id}", usage.input_tokens, usage.output_tokens + 1, begun)
    except UnknownPrice:
        return
    ended = begun + timedelta(seconds=seconds)
    assert table().price(f"{provider.id}:{model.id}", usage, ended) <= worst


def test_a_call_that_is_begun_while_it_is_cheap_may_end_when_it_is_dear() -> None:
    """DeepSeek's cheap hours ended at 00:30."""
    night, day = datetime(2025, 6, 1, 0, 15, tzinfo=UTC), datetime(2025, 6, 1, 0, 45, tzinfo=UTC)
    plain = Usage(input_tokens=1000, output_tokens=100)
    model = "deepseek:deepseek-chat"
    assert table().price(model, plain, night) < table().price(model, plain, day)
    assert table().worst_case(model, 1000, 100, night) == table().price(model, plain, day)


def test_the_worst_case_pays_for_writing_the_whole_prompt_to_the_cache() -> None:
    by_hand = (1000 * Decimal("3.75") + 100 * Decimal(15)) / 1_000_000
    assert table().worst_case("anthropic:claude-sonnet-4-5", 1000, 100, DAY).dollars == by_hand


def test_a_reply_without_a_limit_has_no_worst_case() -> None:
    with pytest.raises(UnknownPrice, match="no limit") as caught:
        table().worst_case("openai:gpt-4o", 1000, 0, DAY)
    assert "max_output_tokens" in caught.value.hint


# --- what it costs to know ------------------------------------------------------------------------------------------


def test_the_table_is_loaded_only_when_a_price_is_looked_up_in_it() -> None:
    code = """
import asyncio, sys
from trunkline.contracts.dialog import Usage
from trunkline.prices import PriceBook
from trunkline.prices.rates import FREE
book = PriceBook({"house:m": FREE})
asyncio.run(book.prepare("offline:small", "ollama:x", "house:m", "nameless"))
for model in ("offline:small", "ollama:x", "house:m"):
    book.price(model, Usage(input_tokens=1))
print("genai_prices" in sys.modules)
asyncio.run(book.prepare("offline:small", "openai:gpt-4o"))
print("genai_prices" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False", "True"], done.stderr


# --- what was left out ------------------------------------------------------------------------------------------------


def test_what_was_left_out_would_have_been_cached_like_the_rest() -> None:
    book = PriceBook({"house:m": replace(OWN, call=7)})
    assert book.spared("house:m", CACHED, 10) == Money(6 * 10_000_000 + 4 * 1_000_000)
    assert book.spared("house:m", Usage(), 10) == Money(10 * 10_000_000)
    assert book.spared("else:m-2026", CACHED, 10, asked="house:m") == book.spared("house:m", CACHED, 10)
    with pytest.raises(UnknownPrice):
        book.spared("else:m-2026", CACHED, 10)


def test_what_was_left_out_may_have_made_the_rest_cheaper() -> None:
    book = PriceBook({"house:m": Rates(Rate(1, steps=((1000, 3),)), Rate(1))})
    assert book.spared("house:m", Usage(input_tokens=1000), 1) == Money(3 * 1001 - 1000)
