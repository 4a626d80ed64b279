"""What model calls cost."""

from datetime import UTC, datetime
from decimal import Decimal

import genai_prices.data_snapshot
import pytest
from trunkline_ledger.money import dollars, parsed, picodollars
from trunkline_ledger.prices import Price, Prices

from trunkline.contracts.dialog import Usage

DAY = datetime(2026, 6, 1, tzinfo=UTC)
CACHED = Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=400, cache_write_tokens=100)


def test_openai_cached_input_is_part_of_the_input() -> None:
    usage = Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=400)
    by_hand = (600 * Decimal("2.50") + 400 * Decimal("1.25") + 100 * Decimal(10)) / 1_000_000
    assert PriceBook().dollars("openai:gpt-4o", usage, DAY) == by_hand == Decimal("0.003")


def test_anthropic_reads_and_writes_of_the_cache_have_prices_of_their_own() -> None:
    by_hand = (500 * Decimal(3) + 400 * Decimal("0.30") + 100 * Decimal("3.75") + 100 * Decimal(15)) / 1_000_000
    assert PriceBook().dollars("anthropic:claude-sonnet-4-5", CACHED, DAY) == by_hand == Decimal("0.003495")


def test_the_row_holds_the_same_amount_to_the_last_digit() -> None:
    pico = PriceBook().cost("anthropic:claude-sonnet-4-5", CACHED, DAY)
    assert pico == 3_495_000_000
    assert dollars(pico) == "0.003495"


@pytest.mark.parametrize(
    "model", ["openai:no-such-model", "nobody:gpt-4o", "gpt-4o", "ollama:llama3", "", ":", "openai:"]
)
def test_an_unknown_price_is_unknown_and_never_nothing(model: str) -> None:
    prices = PriceBook()
    assert prices.cost(model, CACHED, DAY) is None
    assert prices.cost(model, CACHED, DAY) is None


def test_tokens_that_cannot_be_have_no_price() -> None:
    prices = Prices({"ollama:llama3": Price(input=Decimal(1), output=Decimal(1))})
    for model in ("openai:gpt-4o", "ollama:llama3"):
        assert prices.cost(model, Usage(input_tokens=1, cache_read_tokens=2), DAY) is None


def test_a_price_for_part_of_what_was_used_is_no_price() -> None:
    prices = PriceBook()
    assert prices.dollars("openai:text-embedding-3-small", Usage(input_tokens=10), DAY) is not None
    assert prices.dollars("openai:text-embedding-3-small", Usage(input_tokens=10, output_tokens=1), DAY) is None


def test_offline_models_are_free() -> None:
    assert PriceBook().cost("offline:echo", CACHED, DAY) == 0


def test_the_operators_price_wins() -> None:
    own = Price(input=Decimal(10), output=Decimal(20), cache_read=Decimal(1))
    prices = Prices({"openai:gpt-4o": own, "ollama:llama3": own})
    by_hand = (500 * Decimal(10) + 400 * Decimal(1) + 100 * Decimal(10) + 100 * Decimal(20)) / 1_000_000
    assert prices.dollars("openai:gpt-4o", CACHED, DAY) == by_hand
    assert prices.dollars("ollama:llama3", CACHED, DAY) == by_hand
    assert prices.edition != PriceBook().edition


def test_a_price_table_that_was_downloaded_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        genai_prices.data_snapshot,
        "_custom_snapshot",
        genai_prices.data_snapshot.DataSnapshot(providers=[], from_auto_update=True),
    )
    assert PriceBook().cost("openai:gpt-4o", CACHED, DAY) is not None


@pytest.mark.parametrize(("pico", "text"), [(0, "0"), (1, "0.000000000001"), (10**12, "1"), (25 * 10**13, "250")])
def test_dollars_are_written_without_an_exponent(pico: int, text: str) -> None:
    assert dollars(pico) == text
    assert parsed(text) == pico


@pytest.mark.parametrize("text", ["", "x", "-1", "NaN", "Infinity", "1e30", "0x10"])
def test_what_is_no_amount_is_unknown(text: str) -> None:
    assert parsed(text) is None


def test_less_than_a_picodollar_is_rounded_half_to_even() -> None:
    assert [picodollars(Decimal(text)) for text in ("0.5e-12", "1.5e-12", "2.5e-12")] == [0, 2, 2]
