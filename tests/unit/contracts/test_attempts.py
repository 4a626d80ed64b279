"""How a call's attempts are named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts.attempts import (
    LONGEST_STEP,
    attempt_of,
    call_name,
    check_step,
    doubt_step,
    parse_call_name,
    started_step,
)
from trunkline.contracts.errors import BadMessage
from trunkline.contracts.subjects import RunKey

STEPS = st.from_regex(rf"[A-Za-z0-9_-]{{1,{LONGEST_STEP}}}", fullmatch=True).filter(
    lambda s: not s.startswith("doubt-")
)
KEY = RunKey.checked("r", "c")


@given(step=STEPS, attempt=st.integers(1, 999_999))
def test_every_fact_about_a_call_says_whose_it_is(step: str, attempt: int) -> None:
    check_step(step)
    doubt = doubt_step(step, attempt)
    for kind, name in (("started", started_step(step, attempt)), ("approval", doubt), ("decision", doubt)):
        assert attempt_of(kind, name) == (step, attempt)
        KEY.step("started", "tool", name)
    for kind in ("approval", "decision", "call", "result"):
        assert attempt_of(kind, step) == (step, 0)


@pytest.mark.parametrize("step", ["1", "a-b", "3_1"])
def test_a_started_without_an_attempt_is_about_the_first(step: str) -> None:
    assert attempt_of("started", step) == (step, 1)


@pytest.mark.parametrize("step", ["doubt-1-1", "x" * (LONGEST_STEP + 1)])
def test_a_call_whose_attempts_could_not_be_told_apart_is_refused(step: str) -> None:
    with pytest.raises(BadMessage, match="cannot be named"):
        check_step(step)


def test_people_name_a_call_by_run_and_step() -> None:
    assert parse_call_name(call_name("01a2", "3_1")) == ("01a2", "3_1")
    assert parse_call_name("01a2") == ("01a2", "")
