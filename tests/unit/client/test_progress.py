"""A step of a run in a sentence for people."""

from __future__ import annotations

import pytest

from trunkline.client.progress import describe
from trunkline.contracts.dialog import ToolCall
from trunkline.contracts.messages import (
    Approval,
    Call,
    Decision,
    Fact,
    Failure,
    Model,
    Note,
    Prompt,
    Result,
    Route,
    Started,
    Task,
)
from trunkline.contracts.subjects import Kind, RunKey

FAILED = Failure(code="tool_failed", message="It broke.")
KEY = RunKey.checked("r", "c")


def said(kind: Kind, name: str, fact: Fact) -> str:
    progress = describe(KEY.step(kind, name, "1"), fact)
    return progress.text if progress else ""


def model(*tools: str) -> Model:
    calls = tuple(ToolCall(id=str(number), tool=tool) for number, tool in enumerate(tools))
    return Model(model="offline:small", input_hash="", calls=calls)


@pytest.mark.parametrize(
    ("route", "sentence"),
    [
        (Route(source="lexical", confidence=0.83), "math takes it (lexical, 83% sure)"),
        (Route(source="fallback", confidence=0.0), "math takes it (fits nobody else)"),
        (Route(source="only_agent"), "math takes it"),
        (Route(source="conversation"), "math takes it"),
        (Route(source="example"), "math takes it (one of its examples)"),
        (Route(source="several"), "math takes it (several questions)"),
        (Route(source="asked_for"), "math takes it"),
    ],
)
def test_a_task_says_why_this_agent(route: Route, sentence: str) -> None:
    assert said("task", "math", Task(route=route)) == sentence


def test_a_model_that_wants_another_agent_asks_it() -> None:
    assert said("model", "desk", model("ask.billing")) == "asks billing"
    assert (
        said("model", "desk", model("ask.billing", "find", "ask.catalog", "ask.billing")) == "asks billing and catalog"
    )
    assert said("model", "desk", model("find")) == ""


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (Result(run="r2", agent="billing"), "billing has answered"),
        (Result(run="r2", agent="billing", error=FAILED), "billing failed: It broke."),
        (Result(run="r2"), "the other agent has answered"),
        (Result(tool="find"), "find is done"),
        (Result(tool="find", error=FAILED), "find failed: It broke."),
        (Result(tool="timer"), ""),
    ],
)
def test_a_result_says_who_is_back(result: Result, sentence: str) -> None:
    assert said("result", "desk", result) == sentence


def test_what_people_are_asked_says_how_to_answer() -> None:
    asked = Approval(arguments={"invoice": 7, "why": "x" * 200}, arguments_hash="h")
    doubtful = Approval(arguments={"invoice": 7}, arguments_hash="h", reason="in_doubt")
    waits = said("approval", "refund", asked)
    assert waits.startswith('waits for a person: refund(invoice=7, why="xxx')
    assert waits.endswith("xxx…) must be approved: trunkline approve r/1")
    assert said("approval", "refund", doubtful) == (
        "waits for a person: did refund(invoice=7) happen? Say so: trunkline doubts"
    )
    decision = Decision(verdict="not_done", by="ada", arguments_hash="h")
    assert said("decision", "refund", decision) == "refund: not done, says ada"
    assert said("note", "tools", Note(what="reconciled", data={"tool": "refund", "done": False})) == (
        "refund had not done its work before it was lost"
    )


def test_other_steps() -> None:
    prompt = Prompt(model="m", input_hash="", attempt=1, carrier=1, delivery=1)
    assert said("prompt", "desk", prompt) == "desk thinks"
    assert said("call", "a__b", Call(agent="desk")) == "runs a.b"
    assert said("call", "timer", Call(agent="desk")) == "waits"
    assert said("started", "a__b", Started(executor="e", delivery=1)) == "a.b has begun"
    assert said("note", "desk", Note(what="takeover")) == "another worker of desk took over"
    assert said("note", "desk", Note(what="saving")) == ""


def test_a_model_that_fails_says_who_is_asked_next() -> None:
    again = Note(what="retry", data={"message": "a:m is busy.", "next": "a:m"})
    other = Note(what="fallback", data={"message": "a:m is gone.", "next": "b:m"})
    instead = Note(what="fallback_answer", data={"by": "text", "why": "a:m is gone."})
    assert said("note", "desk", again) == "a:m is busy. It is asked again."
    assert said("note", "desk", other) == "a:m is gone. b:m is asked instead."
    assert said("note", "desk", instead) == "desk cannot answer itself: a:m is gone."
    assert said("prompt", "desk", Prompt(model="b:m", input_hash="", attempt=2, carrier=1, delivery=1)) == ""


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (Failure(code="model_failed", message="It is busy."), "the model failed: It is busy."),
        (Failure(code="over_budget", message="The budget has $0 left."), "The budget has $0 left."),
        (Failure(code="unknown_price", message="The price is not known."), "The price is not known."),
    ],
)
def test_a_model_that_nobody_asked_has_not_failed(failure: Failure, sentence: str) -> None:
    assert said("model", "desk", Model(model="offline:small", input_hash="", error=failure)) == sentence


@pytest.mark.parametrize(
    ("kind", "who", "budget"),
    [
        ("user-day", "anna", "the budget of user anna for today"),
        ("tenant-month", "main", "the budget of tenant main for this month"),
        ("run", "01a2", "the budget of this run"),
    ],
)
def test_a_warning_names_the_budget(kind: str, who: str, budget: str) -> None:
    warned = Note(what="budget_warning", data={"kind": kind, "who": who, "spent": "8", "limit": "10"})
    assert said("note", "desk", warned) == f"most of {budget} is spent or held back: $8 of $10"
