"""A step of a run in a sentence for people."""

from __future__ import annotations

import pytest

from trunkline.client.progress import describe
from trunkline.contracts.dialog import ToolCall
from trunkline.contracts.messages import Call, Fact, Failure, Model, Note, Prompt, Result, Route, Started, Task
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


def test_other_steps() -> None:
    prompt = Prompt(model="m", input_hash="", attempt=1, carrier=1, delivery=1)
    assert said("prompt", "desk", prompt) == "desk thinks"
    assert said("call", "a__b", Call(agent="desk")) == "runs a.b"
    assert said("call", "timer", Call(agent="desk")) == "waits"
    assert said("started", "a__b", Started(executor="e", delivery=1)) == "a.b has begun"
    assert said("note", "desk", Note(what="takeover")) == "another worker of desk took over"
    assert said("note", "desk", Note(what="saving")) == ""
