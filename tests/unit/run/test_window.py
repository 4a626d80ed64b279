"""The window over a conversation: bounded, in steps, and never without the newest exchange."""

from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts.dialog import Message, UserMessage
from trunkline.prices.estimate import estimated_message_tokens
from trunkline.run.state import Exchange, Summary, messages_of
from trunkline.run.trimming import MARK
from trunkline.run.window import (
    INTRODUCTION,
    MOST_SUMMED_UP,
    Due,
    Window,
    messages_in,
    summary_tokens,
    to_sum_up,
    tokens_left_out,
    window_of,
    without_summary,
)

WORDS = st.integers(0, 400).map(lambda count: "word " * count)
EXCHANGES = st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=30).map(
    lambda pairs: [Exchange(question, answer, f"r{number}") for number, (question, answer) in enumerate(pairs)]
)


def exchange(number: int, words: int = 40) -> Exchange:
    return Exchange(f"question {number}", "word " * words, f"r{number}")


def told(
    exchanges: list[Exchange], summaries: list[Summary], most: int, summary: str = "in short"
) -> tuple[Message, ...]:
    """What a model is told, and `summaries` with the new one, if one was due."""
    found = window_of(exchanges, summaries, most)
    if isinstance(found, Due):
        summaries.append(Summary(summary, found.reaches))
        found = Window(found.reaches, summaries[-1])
    return messages_in(found, exchanges, most)


def size(messages: tuple[Message, ...]) -> int:
    return sum(map(estimated_message_tokens, messages))


@given(EXCHANGES, st.integers(200, 2000), st.integers(0, 3000), st.booleans())
def test_it_never_exceeds_and_has_the_newest_exchange(
    exchanges: list[Exchange], most: int, words: int, fails: bool
) -> None:
    """Question by question, with summaries of any length, or none that succeeds."""
    summaries: list[Summary] = []
    for count in range(1, len(exchanges) + 1):
        so_far = exchanges[:count]
        found = window_of(so_far, summaries, most)
        if isinstance(found, Due) and fails:
            messages = messages_in(without_summary(found), so_far, most)
        else:
            messages = told(so_far, summaries, most, "sum " * words)
        assert size(messages) <= most
        newest = messages_of(so_far[-1])
        assert messages[-2:] == newest or (len(messages) <= 3 and MARK in f"{messages[-2:]}")
        assert tokens_left_out(so_far, messages) >= -summary_tokens(most) - 60


def test_it_moves_in_steps() -> None:
    """Between two summaries, what a model is told only grows at its end."""
    summaries: list[Summary] = []
    seen = [told([exchange(number) for number in range(count)], summaries, 600) for count in range(1, 41)]
    moved = sum(later[: len(earlier)] != earlier for earlier, later in itertools.pairwise(seen))
    assert moved == len(summaries)
    assert 5 <= moved <= 10


def test_a_summary_goes_on_from_the_last_one() -> None:
    exchanges = [exchange(number) for number in range(30)]
    due = window_of(exchanges, [Summary("before", 3)], 600)
    assert isinstance(due, Due)
    asked = json.loads(to_sum_up(due, exchanges))
    assert asked["summary"] == "before"
    assert asked["exchanges"][0]["user"] == "question 3"
    assert asked["exchanges"][-1]["user"] == f"question {due.reaches - 1}"


def test_what_is_summed_up_at_once_is_bounded() -> None:
    exchanges = [exchange(number, 2000) for number in range(100)]
    due = window_of(exchanges, [], 600)
    assert isinstance(due, Due)
    asked = to_sum_up(due, exchanges)
    assert estimated_message_tokens(UserMessage(asked)) <= MOST_SUMMED_UP + 10
    assert json.loads(asked)["exchanges"][0]["user"] == "question 0"


def test_an_agent_with_a_larger_window_uses_the_summary_that_reaches_least_far() -> None:
    """Agents of one conversation share their summaries, and each sees as much as it may."""
    exchanges = [exchange(number) for number in range(20)]
    summaries = [Summary("short", 4), Summary("longer", 12), Summary("longest", 17)]
    assert window_of(exchanges, summaries, 10_000) == Window(0)
    assert window_of(exchanges, summaries, 1000) == Window(4, summaries[0])
    assert window_of(exchanges, summaries, 600) == Window(12, summaries[1])


def test_the_summary_stands_first_and_is_said_to_be_data() -> None:
    exchanges = [exchange(number) for number in range(3)]
    first, *rest = messages_in(Window(2, Summary("They met.", 2)), exchanges, 600)
    assert first == UserMessage(INTRODUCTION + "They met.")
    assert "data" in INTRODUCTION
    assert tuple(rest) == messages_of(exchanges[2])
