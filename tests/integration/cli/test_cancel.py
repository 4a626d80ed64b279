"""`trunkline cancel`, and what becomes of a run when whoever asked leaves."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.integration.cli.conftest import Trunkline
from tests.platform import Platform
from trunkline.contracts.ids import new_run_id

SLOW = ("ask", "Wait until the morning", "--agent", "slow")


class Asking:
    """`trunkline ask` of something that takes an hour, once its run sleeps."""

    def __init__(self, trunkline: Trunkline, run: str, process: subprocess.Popen[str]) -> None:
        self.run = run
        self.process = process
        self._trunkline = trunkline

    def wait_for(self, kind: str) -> None:
        while not self._trunkline("events", "--run", self.run, "--kind", kind, "--json").json:
            pass

    def ended(self) -> tuple[int, str, str]:
        out, err = self.process.communicate()
        return self.process.returncode, out, err


@contextlib.contextmanager
def asked(trunkline: Trunkline, *words: str) -> Iterator[Asking]:
    run = new_run_id()
    with trunkline.started(*SLOW, "--run", run, *words) as process:
        asking = Asking(trunkline, run, process)
        asking.wait_for("call")
        yield asking


@pytest.fixture
def asking(trunkline: Trunkline) -> Iterator[Asking]:
    with asked(trunkline) as started:
        yield started


def test_whoever_asked_is_told_who_cancelled_and_why(asking: Asking, trunkline: Trunkline) -> None:
    ended = trunkline("cancel", asking.run, "--reason", "too slow", "--user", "ada")
    assert (ended.code, ended.out, ended.err) == (0, f"Run {asking.run} is stopped.\n", "")
    code, out, err = asking.ended()
    assert (code, out) == (1, "")
    assert err == "Error: The run was cancelled by ada.\ntoo slow\n"


def test_an_agent_is_not_said_to_have_cancelled(asking: Asking, trunkline: Trunkline) -> None:
    trunkline("cancel", asking.run, "--user", "ada")
    asking.ended()
    asking.wait_for("answer")
    assert trunkline("show", asking.run).out.startswith("cancelled, agent slow  ")


def test_json_says_how_it_ended(asking: Asking, trunkline: Trunkline) -> None:
    said = trunkline("cancel", asking.run, "--json").json
    assert {name: said[name] for name in ("run", "ended", "code")} == {
        "run": asking.run,
        "ended": True,
        "code": "cancelled",
    }
    assert said["conversation"]


def test_the_beginning_of_an_id_will_do(asking: Asking, trunkline: Trunkline) -> None:
    assert trunkline("cancel", asking.run[:-1]).out == f"Run {asking.run} is stopped.\n"


def test_what_has_ended_cannot_be_cancelled(trunkline: Trunkline) -> None:
    run = trunkline("ask", "Invoice 1042", "--agent", "billing", "--json").json["run"]
    ended = trunkline("cancel", run)
    assert (ended.code, ended.out) == (2, "")
    assert f"Run {run} has ended." in ended.err
    assert f"trunkline show {run}" in ended.err
    assert trunkline("cancel", run, "--json").json["error"]["code"] == "already_ended"


def test_what_is_not_there_cannot_be_cancelled(trunkline: Trunkline) -> None:
    for unknown in (new_run_id(), "0000"):
        ended = trunkline("cancel", unknown)
        assert (ended.code, ended.out) == (2, "")
        assert unknown in ended.err


def test_ctrl_c_may_stop_the_run(trunkline: Trunkline) -> None:
    with asked(trunkline, "--cancel-on-exit") as asking:
        asking.process.send_signal(signal.SIGINT)
        code, out, err = asking.ended()
    assert (code, out) == (130, "")
    assert f"told to stop: trunkline show {asking.run}" in err
    asking.wait_for("answer")


def test_ctrl_c_says_how_to_stop_the_run(asking: Asking) -> None:
    asking.process.send_signal(signal.SIGINT)
    code, _, err = asking.ended()
    assert code == 130
    assert f"goes on: trunkline show {asking.run}" in err
    assert f"trunkline cancel {asking.run}" in err


def test_a_deadline_ends_the_run(trunkline: Trunkline) -> None:
    ended = trunkline(*SLOW, "--deadline", "1", "--json")
    assert ended.code == 1
    assert ended.json["error"]["code"] == "deadline_passed"
    assert "its own sleep" in ended.json["error"]["message"]


def test_a_timeout_may_stop_the_run(platform: Platform, trunkline: Trunkline) -> None:
    run = new_run_id()
    ended = trunkline(*SLOW, "--timeout", "1", "--cancel-on-exit", "--run", run)
    assert ended.code == 1
    assert f"run {run} was told to stop" in ended.err
    assert "goes on" not in ended.err
