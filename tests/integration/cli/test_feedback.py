"""`trunkline feedback`: a verdict on an answer, and who should have given it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.cli.conftest import Trunkline
from trunkline.contracts.ids import new_run_id
from trunkline.contracts.verdicts import MOST_VERDICTS


@pytest.fixture
def run(trunkline: Trunkline) -> str:
    asked = trunkline("ask", "Where is my parcel?", "--user", "ada", "--json")
    assert asked.code == 0, asked
    return str(asked.json["run"])


def on_the_log(trunkline: Trunkline, run: str) -> list[dict[str, Any]]:
    return [event["body"] for event in trunkline("events", "--run", run, "--kind", "feedback", "--json").json]


def test_a_verdict_is_a_fact_and_the_last_word_of_each_user_is_shown(trunkline: Trunkline, run: str) -> None:
    ended = trunkline("feedback", run, "bad", "--comment", "no, not that", "--user", "ada")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"Run {run}: bad.\n"
    other = trunkline("feedback", run, "good", "--user", "bob")
    assert "ada had asked (--user); the router learns from whoever asked" in other.err
    changed = trunkline("feedback", run[:18], "bad", "--agent", "catalog", "--user", "ada", "--json")
    assert (changed.json["number"], changed.json["by"], changed.json["agent"]) == (2, "ada", "catalog")
    assert [(body["by"], body["verdict"]) for body in on_the_log(trunkline, run)] == [
        ("ada", -1),
        ("bob", 1),
        ("ada", -1),
    ]
    shown = trunkline("show", run).out
    assert "bad, says ada: catalog should have answered" in shown
    assert "good, says bob" in shown
    assert "not that" not in shown
    assert "catalog should have answered" in trunkline("events", "--run", run, "--kind", "feedback").out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("bad", "--agent", "nobody"), 2, "There is no agent 'nobody'"),
        (("bad", "--agent", "no body"), 2, "is not a valid name"),
        (("bad", "--comment", "x" * 5000), 2, "5,000 characters"),
        (("awful",), 2, "'awful' is not one of"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(
    trunkline: Trunkline, run: str, words: tuple[str, ...], code: int, said: str
) -> None:
    ended = trunkline("feedback", run, *words)
    assert ended.code == code
    assert said in ended.err
    assert on_the_log(trunkline, run) == []


def test_a_run_that_nobody_knows(trunkline: Trunkline) -> None:
    ended = trunkline("feedback", new_run_id(), "good")
    assert ended.code == 2
    assert "has no answer" in ended.err


def test_one_user_does_not_fill_the_log(trunkline: Trunkline, run: str) -> None:
    for _ in range(MOST_VERDICTS):
        assert trunkline("feedback", run, "good", "--user", "eve").code == 0
    ended = trunkline("feedback", run, "good", "--user", "eve")
    assert ended.code == 2
    assert f"{MOST_VERDICTS} verdicts" in ended.err
    assert trunkline("feedback", run, "good", "--user", "ada").code == 0
