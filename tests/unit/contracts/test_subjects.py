"""A subject is built and parsed in one place; nothing that could address more than one step gets through."""

from __future__ import annotations

import uuid
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts.errors import BadSubject, InvalidName
from trunkline.contracts.ids import (
    TOKEN,
    ConversationId,
    RunId,
    StepName,
    child_run_id,
    new_run_id,
    started_at_ms,
    tool_name,
    tool_token,
)
from trunkline.contracts.subjects import Kind, RunKey, Subject, parse_due, timer_due

tokens = st.from_regex(TOKEN, fullmatch=True)
kinds = st.sampled_from(get_args(Kind))
subjects = st.builds(
    Subject, tokens, tokens.map(ConversationId), tokens.map(RunId), kinds, tokens, tokens.map(StepName)
)


@given(subjects)
def test_a_subject_parses_back(subject: Subject) -> None:
    assert Subject.parse(str(subject)) == subject
    assert str(subject).count(".") == 6


@given(st.text(max_size=100) | st.lists(st.text(max_size=8), min_size=7, max_size=7).map(".".join))
def test_any_other_text_is_a_bad_subject(text: str) -> None:
    try:
        parsed = Subject.parse(text)
    except BadSubject:
        return
    assert str(parsed) == text


@pytest.mark.parametrize("bad", ["*", ">", "", "a.b", "a b", "ä", "x" * 65, "a\nb", "\x00"])
def test_no_wildcard_and_no_space_gets_into_a_subject(bad: str) -> None:
    for parts in ((bad, "c", "main"), ("r", bad, "main"), ("r", "c", bad)):
        with pytest.raises(InvalidName):
            RunKey.checked(*parts)
    with pytest.raises(InvalidName):
        RunKey.checked("r", "c").step("task", bad)
    with pytest.raises(BadSubject):
        Subject.parse(f"trunk.main.{bad}.r.task.a.0")


def test_run_ids_are_uuid7_and_sort_by_time() -> None:
    ids = [new_run_id() for _ in range(50)]
    assert all(uuid.UUID(run).version == 7 for run in ids)
    assert [started_at_ms(run) for run in ids] == sorted(started_at_ms(run) or 0 for run in ids)


def test_a_child_run_has_always_the_same_id_and_its_parents_time() -> None:
    parent = new_run_id()
    child = child_run_id(parent, StepName("3"))
    assert child == child_run_id(parent, StepName("3")) != child_run_id(parent, StepName("4"))
    assert started_at_ms(child) == started_at_ms(parent)
    assert uuid.UUID(child).version == 7


@given(st.lists(st.from_regex(r"[a-z][a-z0-9]{0,8}(_[a-z0-9]{1,5})?", fullmatch=True), min_size=1, max_size=3))
def test_a_tools_name_survives_as_a_token(parts: list[str]) -> None:
    name = ".".join(parts)
    assert TOKEN.fullmatch(tool_token(name))
    assert tool_name(tool_token(name)) == name


def test_a_timers_subject_leads_back_to_its_run() -> None:
    key = RunKey.checked(new_run_id(), "c1")
    assert parse_due(timer_due(key, "agent", "3")) == (key, "agent", "3")
    with pytest.raises(BadSubject):
        parse_due("timer.due.x")
