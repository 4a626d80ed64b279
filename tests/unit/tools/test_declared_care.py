"""What a tool declares for the case that a call fails or is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import trunkline
from trunkline import call_id, tool
from trunkline.contracts.errors import InvalidSettings, NotFound
from trunkline.tool import DEFAULT_RETRIES


def pay(cents: int) -> None:
    """Pay."""


def retries(**declared: Any) -> int:
    return tool(name="pay", **declared)(pay).card("e", "s").retries


def refused(declare: Callable[[], object]) -> str:
    with pytest.raises(InvalidSettings) as raised:
        declare()
    assert raised.value.hint
    return raised.value.what


def test_only_what_may_be_repeated_is_tried_again() -> None:
    assert retries() == DEFAULT_RETRIES == 2
    assert retries(effect="write", idempotent=True) == 2
    assert retries(effect="write") == 0
    assert retries(retries=5) == 5
    assert retries(retries=0) == retries(effect="write", retries=0) == 0


@pytest.mark.parametrize("number", [-1, 11, 1.5, True, "2"])
def test_retries_are_a_small_number(number: Any) -> None:
    assert refused(lambda: retries(retries=number)).startswith("tool pay: retries is ")


def test_a_tool_that_must_not_be_run_twice_cannot_have_retries() -> None:
    what = refused(lambda: retries(effect="write", retries=1))
    assert what == "tool pay: it has effects and is not idempotent, so it cannot have retries."


def test_a_reconcile_function_is_declared_below_its_tool() -> None:
    charge = tool(effect="write", timeout=7)(pay)
    assert charge.card("e", "s").reconcile_seconds == 0

    @charge.reconcile
    def found(cents: int) -> trunkline.Done:
        return trunkline.Done(cents)

    assert found(3) == trunkline.Done(3)
    assert charge.reconciler is found
    assert charge.card("e", "s").reconcile_seconds == 7


def test_a_reconcile_function_has_a_timeout_of_its_own() -> None:
    charge = tool(effect="write", timeout=7)(pay)
    charge.reconcile(timeout=2)(lambda cents: trunkline.NotDone())
    assert charge.card("e", "s").reconcile_seconds == 2


def test_a_reconcile_function_that_could_not_work_is_refused() -> None:
    charge = tool(name="pay", effect="write")(pay)
    assert refused(lambda: charge.reconcile(lambda: None)) == "tool pay: its reconcile function takes ()."
    assert "timeout is 0" in refused(lambda: charge.reconcile(timeout=0)(lambda cents: None))
    charge.reconcile(lambda cents: None)
    assert "two reconcile functions" in refused(lambda: charge.reconcile(lambda cents: None))
    reading = tool(name="look")(pay)
    assert "nothing to reconcile" in refused(lambda: reading.reconcile(lambda cents: None))


def test_the_call_is_known_inside_of_one_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRUNKLINE_CALL_ID", raising=False)
    with pytest.raises(NotFound, match="No tool call is under way"):
        call_id()
    monkeypatch.setenv("TRUNKLINE_CALL_ID", "run-7")
    assert call_id() == "run-7"


def test_a_tool_says_how_much_of_its_result_a_model_is_told() -> None:
    assert tool(rows).card("me", "here").result_tokens == 0
    assert tool(result_tokens=50)(rows).card("me", "here").result_tokens == 50


@pytest.mark.parametrize("tokens", [0, 49, 100.0, True])
def test_too_little_of_a_result_is_refused(tokens: Any) -> None:
    with pytest.raises(InvalidSettings, match=r"tool rows: result_tokens is .*from 50"):
        tool(result_tokens=tokens)(rows)


def rows() -> list[int]:
    """Rows."""
    return []
