"""An estimate of tokens: of the right size, additive, and never above the upper bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts.dialog import AssistantMessage, ToolCall, ToolMessage, UserMessage
from trunkline.prices import most_tokens
from trunkline.prices.estimate import estimated_json_tokens, estimated_message_tokens, estimated_tokens

# Counted with o200k_base.
COUNTED = [
    ("I was charged twice for the same order last Tuesday, and nobody could help me on the phone.", 20),
    ('{"invoice_id":482913,"customer":"Ann Lee","amount_cents":12950,"currency":"EUR"}', 23),
    ("async def complete(self, query: ModelQuery) -> ModelReply:\n    return await self._read(query)\n", 22),
    ("三月份的账单在上周二被扣了两次款。", 16),
]


@pytest.mark.parametrize(("text", "counted"), COUNTED)
def test_it_is_near_what_a_tokenizer_counts(text: str, counted: int) -> None:
    assert estimated_tokens(text) == pytest.approx(counted, rel=0.3)


@given(st.text(), st.text())
def test_of_two_texts_together_it_is_the_sum(one: str, other: str) -> None:
    together = estimated_tokens(one + other)
    assert together <= estimated_tokens(one) + estimated_tokens(other) <= together + 1


@given(st.text())
def test_it_is_below_the_upper_bound(text: str) -> None:
    assert estimated_tokens(text) <= most_tokens(text)
    assert (estimated_tokens(text) > 0) == bool(text)


def test_a_message_counts_with_its_calls() -> None:
    call = ToolCall(id="1", tool="add", arguments={"a": 1})
    assert estimated_message_tokens(AssistantMessage("hm", (call,))) > estimated_message_tokens(AssistantMessage("hm"))
    assert estimated_message_tokens(ToolMessage("1", "add", [1, 2])) == 4 + estimated_json_tokens([1, 2])
    assert estimated_message_tokens(UserMessage("")) == 4
