"""What a run waited for, in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from trunkline.contracts.codec import Event
from trunkline.contracts.messages import Approval, Call, Decision, Fact, Model, Note, Prompt, Request, Result, Task
from trunkline.contracts.subjects import Kind, RunKey
from trunkline_router.runs.open_runs import OpenRun
from trunkline_router.runs.overdue import has_begun, left_waiting, out_of_time

BEGAN = datetime(2030, 1, 1, 12, tzinfo=UTC)
KEY = RunKey.checked("r", "c")
Said = tuple[Kind, str, str, Fact]

ASKED: Said = ("request", "router", "0", Request(text="?"))
PLACED: Said = ("task", "billing", "0", Task())
PROMPT: Said = ("prompt", "billing", "1-1", Prompt(model="openai:m", input_hash="", attempt=1, carrier=1, delivery=1))
MODEL: Said = ("model", "billing", "1", Model(model="openai:m", input_hash="", attempt=1))
CALL: Said = ("call", "invoices__find", "2", Call(agent="billing"))
APPROVAL: Said = ("approval", "invoices__find", "2", Approval(arguments={}, arguments_hash=""))
DECISION: Said = (
    "decision",
    "invoices__find",
    "2",
    Decision(verdict="approved", by="ada", arguments_hash=""),
)
RESULT: Said = ("result", "billing", "2", Result(tool="invoices.find"))
SLEEP: Said = ("call", "timer", "3", Call(agent="billing"))


def events(*said: Said) -> list[Event]:
    return [
        Event(KEY.step(kind, name, step), number, BEGAN + timedelta(seconds=number), fact, b"")
        for number, (kind, name, step, fact) in enumerate(said)
    ]


def run(**known: object) -> OpenRun:
    ends = BEGAN + timedelta(seconds=60)
    return OpenRun(KEY, 1, queue_ends=ends, deadline=ends, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([ASKED], "since 12:00:00 UTC it waited for the router"),
        ([ASKED, PLACED], "since 12:00:01 UTC it waited for agent billing"),
        ([ASKED, PLACED, PROMPT], "since 12:00:02 UTC it waited for the model openai:m, which agent billing asked"),
        ([ASKED, PLACED, PROMPT, MODEL], "since 12:00:03 UTC it waited for agent billing"),
        ([ASKED, PLACED, PROMPT, MODEL, CALL], "since 12:00:04 UTC it waited for the tool invoices.find"),
        ([ASKED, PLACED, CALL, APPROVAL], "since 12:00:03 UTC it waited for a person to decide on the tool"),
        ([ASKED, PLACED, CALL, APPROVAL, DECISION], "since 12:00:02 UTC it waited for the tool invoices.find"),
        ([ASKED, PLACED, CALL, RESULT], "since 12:00:03 UTC it waited for agent billing"),
        ([ASKED, PLACED, CALL, SLEEP], "it waited for the tool invoices.find and its own sleep"),
    ],
)
def test_the_reason_names_what_was_waited_for(said: list[Said], expected: str) -> None:
    placed = any(kind == "task" for kind, *_ in said)
    cancel = out_of_time(run(agent="billing" if placed else "", placed=2 if placed else 0), events(*said), [])
    assert expected in cancel.reason
    assert (cancel.code, "had not ended after 60 s" in cancel.reason) == ("deadline_passed", True)


def test_a_deadline_is_told_as_it_was_asked_for() -> None:
    """The run's own clock began a moment before its deadline was set."""
    late = replace(run(), deadline=BEGAN + timedelta(seconds=1.99968))
    assert "had not ended after 2 s: " in out_of_time(late, events(ASKED), []).reason


def test_the_reason_names_whom_it_had_asked() -> None:
    child = run(agent="catalog", placed=3)
    cancel = out_of_time(run(agent="billing", placed=2), events(ASKED, PLACED), [child])
    assert "it waited for agent catalog, whom it had asked" in cancel.reason


def test_a_question_that_waits_for_its_turn_says_so() -> None:
    assert "an earlier question of its conversation" in out_of_time(run(parked=True), events(ASKED), []).reason


@pytest.mark.parametrize(
    ("known", "workers", "expected"),
    [
        ({}, 0, "the router gave it to no agent"),
        ({"agent": "billing", "placed": 2}, 0, "no worker of agent billing is registered"),
        ({"agent": "billing", "placed": 2}, 3, "the workers of agent billing (3 registered) were busy"),
    ],
)
def test_nobody_began(known: dict[str, object], workers: int, expected: str) -> None:
    cancel = left_waiting(run(**known), 120, workers=workers, earlier=[])
    assert (cancel.code, expected in cancel.reason) == ("queue_timeout", True)
    assert "within 0:02:00" in cancel.reason


def test_who_has_begun_has_left_something_on_the_log() -> None:
    waiting: Said = ("note", "router", "0", Note(what="waiting"))
    assert not has_begun(events(ASKED, waiting, PLACED))
    assert all(has_begun(events(ASKED, PLACED, sign)) for sign in (PROMPT, CALL, RESULT))
