"""`trunkline router backtest`: questions that were asked, decided anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.cli.conftest import Trunkline
from tests.platform import Platform

BILLING, CATALOG = "Why was I charged twice?", "Do you sell chairs?"


@pytest.fixture(scope="module")
def asked(trunkline_module: Trunkline) -> dict[str, str]:
    """Runs by their question."""
    runs = {}
    for question in (BILLING, CATALOG):
        ended = trunkline_module("ask", question, "--user", "ada", "--json")
        assert ended.code == 0, ended
        runs[question] = str(ended.json["run"])
    return runs


@pytest.fixture(scope="module")
def trunkline_module(platform: Platform) -> Trunkline:
    return Trunkline(platform.env)


def test_the_same_settings_decide_the_same(trunkline: Trunkline, asked: dict[str, str]) -> None:
    before = len(trunkline("events", "--limit", "0", "--json").json)
    found = trunkline("router", "backtest", "--json").json
    assert (found["questions"], found["agreed"], found["changes"], found["moves"]) == (2, 2, [], [])
    assert found["milliseconds"]["now"]["p50"] > 0
    assert found["milliseconds"]["candidate"]["p95"] > 0
    assert len(trunkline("events", "--limit", "0", "--json").json) == before


def test_other_examples_move_questions_and_feedback_says_whether_that_is_right(
    trunkline: Trunkline, asked: dict[str, str], tmp_path: Path
) -> None:
    candidate = tmp_path / "candidate.toml"
    candidate.write_text(f'[routes.catalog]\nexamples = ["{BILLING}"]\n[routes.billing]\nexamples = []\n')
    assert trunkline("feedback", asked[BILLING], "good", "--user", "ada").code == 0
    found = trunkline("router", "backtest", "--config", str(candidate), "--json").json
    (change,) = [each for each in found["changes"] if each["question"] == BILLING]
    assert (change["from"], change["to"], change["right"]) == ("billing", "catalog", False)
    assert {"from": "billing", "to": "catalog", "questions": 1} in found["moves"]
    shown = trunkline("router", "backtest", "--config", str(candidate)).out
    assert "of 2 questions stay where they were" in shown
    assert "billing → catalog" in shown
    assert "wrong" in shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("router_hard = 1.5", "candidate.router_hard"),
        ('[routes.nobody]\nexamples = ["a"]', "nobody, which is not running"),
    ],
)
def test_a_candidate_that_cannot_be_tried_is_refused(
    trunkline: Trunkline, asked: dict[str, str], tmp_path: Path, text: str, said: str
) -> None:
    candidate = tmp_path / "candidate.toml"
    candidate.write_text(text)
    ended = trunkline("router", "backtest", "--config", str(candidate))
    assert ended.code == 2
    assert said in ended.err


def test_the_hosted_model_is_asked_only_by_who_says_yes_to_what_it_may_cost(
    trunkline: Trunkline, asked: dict[str, str], tmp_path: Path
) -> None:
    candidate = tmp_path / "candidate.toml"
    candidate.write_text('router_model = "offline:small"\nrouter_confident = 1.0\n[routes.billing]\nexamples = ["a"]\n')
    told = ("router", "backtest", "--config", str(candidate))
    assert "would be shown to the hosted model first; here nobody asked it" in trunkline(*told).out
    left = trunkline(*told, "--json").json
    assert (left["hosted"], left["unasked"] > 0) == (None, True)
    ended = trunkline(*told, "--hosted")
    assert ended.code == 2
    assert f"{left['unasked']} call" in ended.err
    assert "--yes" in ended.err
    shown = trunkline(*told, "--hosted", "--yes", "--user", "ada", "--json").json
    assert shown["hosted"] == {"questions": left["unasked"], "cost": "0", "unknown": 0, "refused": None}
    assert "shown to the hosted model for $0" in trunkline(*told, "--hosted", "--yes").out


def test_a_candidate_without_a_model_cannot_show_it_anything(
    trunkline: Trunkline, asked: dict[str, str], tmp_path: Path
) -> None:
    candidate = tmp_path / "candidate.toml"
    candidate.write_text("router_confident = 1.0\n")
    ended = trunkline("router", "backtest", "--config", str(candidate), "--hosted", "--yes")
    assert (ended.code, "names no hosted model" in ended.err) == (2, True)


def test_help_shows_brackets_and_leaves_the_ends_of_lines_to_the_terminal(trunkline: Trunkline) -> None:
    shown = trunkline("router", "backtest", "--help").out
    assert "and in [routes.AGENT] description and examples." in " ".join(shown.split())
    assert "Nothing is written" in shown


def test_a_time_without_questions(trunkline: Trunkline) -> None:
    ended = trunkline("router", "backtest", "--since", "2100-01-01")
    assert (ended.code, "No question was routed" in ended.err) == (2, True)
