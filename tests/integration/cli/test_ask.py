"""`trunkline ask`, `chat` and `route`: the answer on stdout, what is said about it on stderr, and the exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess

from tests.integration.cli.conftest import BINARY, Trunkline
from tests.platform import Platform
from trunkline.contracts.ids import new_run_id

QUESTION = "What is the status of invoice 1042?"
SLOW = ("ask", "Wait until the morning", "--agent", "slow")


def test_only_the_answer_goes_to_stdout(trunkline: Trunkline) -> None:
    """So that it can be piped; progress is for terminals."""
    ended = trunkline("ask", QUESTION)
    assert (ended.code, ended.err) == (0, "")
    assert "1042" in ended.out
    assert "paid" in ended.out
    assert ended.out.count("\n") == 1
    assert "\x1b" not in ended.out


def test_a_dash_reads_the_question_from_stdin(trunkline: Trunkline) -> None:
    assert "4990" in trunkline("ask", "-", stdin=f"{QUESTION}\n").out


def test_json_is_one_object(trunkline: Trunkline) -> None:
    """It names the run, so that a program can go on from there."""
    run = new_run_id()
    answered = trunkline("ask", QUESTION, "--json", "--run", run, "--conversation", "c-json").json
    assert {key: answered[key] for key in ("run", "conversation", "agent")} == {
        "run": run,
        "conversation": "c-json",
        "agent": "billing",
    }
    assert "paid" in answered["text"]
    assert answered["seconds"] > 0


def test_a_json_stream_is_a_line_for_each_step_and_ends_with_the_answer(trunkline: Trunkline) -> None:
    *steps, answer = trunkline("ask", QUESTION, "--json", "--stream").lines
    said = [step["text"] for step in steps if step["type"] == "progress"]
    assert any("billing takes it" in text for text in said)
    assert "runs find_invoice" in said
    assert answer["type"] == "answer"
    written = "".join(step["text"] for step in steps if step["type"] == "text")
    assert answer["text"].startswith(written)  # live text is a courtesy: a quick answer may overtake it


def test_asking_again_with_the_same_run_asks_the_same_thing(trunkline: Trunkline) -> None:
    """The second time the recorded answer is read: nothing is paid again."""
    run = new_run_id()
    first = trunkline("ask", QUESTION, "--json", "--run", run).json
    again = trunkline("ask", QUESTION, "--json", "--run", run).json
    assert (first["text"], first["conversation"]) == (again["text"], again["conversation"])
    requests = trunkline("events", "--run", run, "--kind", "request", "--json").json
    assert len(requests) == 1


def test_a_failed_run_says_what_happened_and_what_to_do(trunkline: Trunkline) -> None:
    ended = trunkline("ask", "Fail on purpose, please", "--agent", "broken")
    assert (ended.code, ended.out) == (1, "")
    assert "this flow is wrong" in ended.err
    assert "worker's log" in ended.err


def test_a_failed_run_in_json_bears_its_own_code_and_its_run(trunkline: Trunkline) -> None:
    run = new_run_id()
    ended = trunkline("ask", "Fail on purpose, please", "--agent", "broken", "--json", "--run", run)
    assert (ended.code, ended.err) == (1, "")
    error = ended.json["error"]
    assert set(error) == {"code", "message", "hint", "run"}
    assert error["run"] == run
    assert error["code"] != "run_failed"


def test_an_unknown_agent_is_the_callers_mistake(trunkline: Trunkline) -> None:
    ended = trunkline("ask", QUESTION, "--agent", "biling")
    assert ended.code == 2
    assert "biling" in ended.err
    assert "billing" in ended.err


def test_an_empty_question_is_not_asked(trunkline: Trunkline) -> None:
    for words in (("ask", "  "), ("ask", "-")):
        ended = trunkline(*words)
        assert ended.code == 2
        assert "empty" in ended.err


def test_a_name_with_a_wildcard_is_refused(trunkline: Trunkline) -> None:
    """NATS would let it through: the answer to it could be anybody's."""
    for option, name in (("--agent", "b*"), ("--conversation", ">"), ("--run", "a.b")):
        ended = trunkline("ask", QUESTION, option, name)
        assert ended.code == 2, (option, name)
        assert "not a valid name" in ended.err


def test_a_timeout_says_that_the_run_goes_on(trunkline: Trunkline) -> None:
    ended = trunkline(*SLOW, "--timeout", "0.001")
    assert ended.code == 1
    assert "goes on" in ended.err
    assert "trunkline show" in ended.err


def test_a_timeout_names_the_run_to_programs(trunkline: Trunkline) -> None:
    run = new_run_id()
    error = trunkline(*SLOW, "--timeout", "0.001", "--run", run, "--json").json["error"]
    assert (error["code"], error["run"]) == ("deadline_passed", run)


def test_ctrl_c_says_that_the_run_goes_on(trunkline: Trunkline) -> None:
    """Whoever stops watching has not stopped the run."""
    run = new_run_id()
    with trunkline.started(*SLOW, "--run", run) as asking:
        while not trunkline("events", "--run", run, "--kind", "task", "--json").json:
            assert asking.poll() is None
        asking.send_signal(signal.SIGINT)
        out, err = asking.communicate()
    assert (asking.returncode, out) == (130, "")
    assert f"goes on: trunkline show {run}" in err


def test_on_a_terminal_the_steps_stay_and_the_answer_stands_below_them(platform: Platform) -> None:
    reading, terminal = os.openpty()
    asking = subprocess.Popen(
        [str(BINARY), "ask", QUESTION],
        env={**platform.env, "COLUMNS": "100", "LINES": "30", "TERM": "xterm-256color"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    seen = b""
    while chunk := _read(reading):
        seen += chunk
    os.close(reading)
    assert asking.wait(20) == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode()).replace("\r", "\n").splitlines()
    lines = [line.strip() for line in shown if line.strip()]
    assert any(line.endswith("runs find_invoice") for line in lines)
    assert "paid" in lines[-2]
    assert re.fullmatch(r"billing · .* · trunkline show [0-9a-f-]{18}", lines[-1])


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that the other side has closed
        return b""


def test_a_chat_is_one_conversation_and_survives_errors(trunkline: Trunkline) -> None:
    """Piped: each line is a question, each answer a line; the exit code tells that one of them failed."""
    ended = trunkline("chat", "--agent", "billing", "--json", stdin=f"{QUESTION}\n\nInvoice 1043\n/exit\nnever asked\n")
    assert ended.code == 0
    assert len(ended.lines) == 2
    assert len({line["conversation"] for line in ended.lines}) == 1
    failing = trunkline("chat", stdin=f"qqqq zzzz\n{QUESTION}\n")
    assert failing.code == 1
    assert "No agent" in failing.err
    assert "paid" in failing.out


def test_route_explains_without_asking(trunkline: Trunkline) -> None:
    found = trunkline("route", QUESTION, "--json").json
    assert found["agent"] == "billing"
    assert 0 < found["route"]["confidence"] <= 1
    assert found["route"]["scores"]["billing"] == max(found["route"]["scores"].values())
    assert (found["parts"], found["partner"], found["unasked"]) == ([], "", "")
    assert trunkline("route", QUESTION).out.startswith("billing")
    assert trunkline("route", "why was I charged TWICE?").out == "billing  the question is one of its examples\n"


def test_route_explains_a_follow_up_within_its_conversation(trunkline: Trunkline) -> None:
    trunkline("ask", QUESTION, "--conversation", "c-route")
    found = trunkline("route", "and for last month?", "--conversation", "c-route", "--json").json
    assert (found["agent"], found["route"]["source"], found["partner"]) == ("billing", "conversation", "billing")
    ended = trunkline("route", "why?", "--conversation", "not a token")
    assert (ended.code, "Use 1 to 64 of the characters" in ended.err) == (2, True)


def test_route_says_why_nobody_would_get_it(trunkline: Trunkline) -> None:
    ended = trunkline("route", "qqqq zzzz")
    assert (ended.code, ended.out) == (1, "")
    assert "No agent is a good match" in ended.err
    assert trunkline("route", "qqqq zzzz", "--json").json["error"]["code"] == "nobody_fits"


def test_the_same_question_of_the_same_user_is_answered_again_without_a_model(trunkline: Trunkline) -> None:
    """`--user` or TRUNKLINE_USER says who asks; a conversation of its own is no other question."""
    question = "Do you sell sofas?"

    def source(*words: str, **env: str) -> str:
        run = trunkline("ask", question, "--agent", "catalog", "--json", *words, **env).json["run"]
        (answer,) = trunkline("events", "--run", run, "--kind", "answer", "--json").json
        return str(answer["body"].get("source", ""))

    assert source("--user", "kim") == ""
    assert source("--user", "kim") == "cache"
    assert source(TRUNKLINE_USER="kim") == "cache"
    assert source("--user", "kim", "--fresh") == ""
    assert source("--user", "lee") == ""
    assert source() == source() == ""
