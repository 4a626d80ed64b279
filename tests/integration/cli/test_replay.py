"""`trunkline replay`: a run step by step, and changed code held to the record."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
from pathlib import Path

import pytest

from tests.integration.cli.conftest import BINARY, SHOP, Trunkline
from tests.platform import Platform
from trunkline.contracts.ids import new_run_id


@pytest.fixture(scope="module")
def recorded(platform: Platform) -> str:
    run = new_run_id()
    ended = Trunkline(platform.env)(
        "ask", "Status of invoice 1042?", "--agent", "billing", "--user", "anna", "--run", run
    )
    assert ended.code == 0
    return run


def changed(folder: Path, old: str, new: str) -> str:
    source = SHOP.read_text()
    assert old in source
    path = folder / "changed.py"
    path.write_text(source.replace(old, new))
    return str(path)


def test_a_walk_says_when_who_and_why(trunkline: Trunkline, recorded: str) -> None:
    steps = trunkline("replay", recorded, "--json").json
    assert [step["kind"] for step in steps] == [
        *("request", "task", "prompt", "model", "call", "result", "prompt", "model", "answer")
    ]
    by_kind = {step["kind"]: step for step in steps}
    assert by_kind["request"]["who"] == "anna, for agent billing"
    assert by_kind["call"]["why"] == "turn 1"
    assert by_kind["prompt"]["why"] == f"the result at {by_kind['result']['sequence']} came"
    assert by_kind["prompt"]["payload"]["said"][-1]["role"] == "tool"
    assert steps[0]["ms"] == 0 < steps[-1]["ms"]
    shown = trunkline("replay", recorded).out
    assert "9/9" in shown
    assert "the task at" in shown


def test_a_walk_stops_after_each_step_where_somebody_looks_on(platform: Platform, recorded: str) -> None:
    ours, theirs = pty.openpty()
    words = [str(BINARY), "replay", recorded]
    with subprocess.Popen(words, env=platform.env, stdin=theirs, stdout=theirs, stderr=theirs) as walking:
        os.close(theirs)
        assert b"2/9" not in pressed(ours, b"", until=b"any key")
        assert b"9/9" not in pressed(ours, b" ", until=b"2/9")
        assert b"9/9" not in pressed(ours, b"q", until=b"")
        assert walking.wait(timeout=20) == 0
    os.close(ours)


def test_a_narrow_walk_cuts_nothing_short_that_was_said(platform: Platform, trunkline: Trunkline) -> None:
    run, question = new_run_id(), "Status of invoice 1042? " + "It is urgent, says the customer. " * 3 + "Hurry!"
    assert trunkline("ask", question, "--agent", "billing", "--run", run).code == 0
    ours, theirs = pty.openpty()
    words = [str(BINARY), "replay", run, "--all"]
    with subprocess.Popen(words, env={**platform.env, "COLUMNS": "60"}, stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        seen = re.sub(r"\x1b\[[0-9;]*m", "", pressed(ours, b"", until=b"").decode())
    os.close(ours)
    asked = seen[: seen.index("2/9")]
    assert all(len(line) <= 60 for line in asked.splitlines()[3:])
    assert " ".join(asked.split()).count(question) == 1


def pressed(terminal: int, key: bytes, until: bytes) -> bytes:
    """What appears while the key is pressed again and again: one that comes too early is dropped, as at every prompt.

    Up to `until`, or to the end.
    """
    seen = b""
    while not until or until not in seen:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                seen += os.read(terminal, 4096)
            except OSError:  # the other side has closed it
                return seen
        else:
            os.write(terminal, key)
    return seen


def test_unchanged_code_does_not_diverge(trunkline: Trunkline, recorded: str) -> None:
    ended = trunkline("replay", recorded[:20], "--with", str(SHOP))
    assert (ended.code, ended.out) == (0, "No divergence in 1 run, 3 steps (strict).\n")


def test_a_changed_instruction_is_shown_with_both_inputs(trunkline: Trunkline, recorded: str, tmp_path: Path) -> None:
    file = changed(tmp_path, "    tools=[find_invoice],", '    tools=[find_invoice], instructions="Be brief.",')
    ended = trunkline("replay", recorded, "--with", file)
    assert ended.code == 1
    assert f"Step 1 differs in run {recorded} of billing" in ended.out
    assert '-   "instructions": "",' in ended.out
    assert '+   "instructions": "Be brief.",' in ended.out
    assert trunkline("replay", recorded, "--with", file, "--structural").code == 0
    (found,) = json.loads(trunkline("replay", "--last", "1", "--with", file, "--json").out)
    assert found["divergence"]["asked"]["instructions"] == "Be brief."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Which run?"),
        (["01a2", "--last", "3"], "Which run?"),
        (["--last", "3"], "--last needs --with FILE."),
        (["no such run!"], "is not a valid name"),
        ([new_run_id()], "There is no run"),
    ],
)
def test_bad_input_is_refused_clearly(trunkline: Trunkline, words: list[str], said: str) -> None:
    ended = trunkline("replay", *words)
    assert ended.code == 2
    assert said in ended.err


def test_the_run_of_another_agent_is_refused(trunkline: Trunkline, recorded: str, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text('from trunkline import Agent\nlonely = Agent("lonely")\n')
    ended = trunkline("replay", recorded, "--with", str(other))
    assert ended.code == 2
    assert f"Run {recorded} was given to billing; the file declares lonely." in ended.err
