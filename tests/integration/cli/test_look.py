"""The commands that look: who is there, what happened, what it cost."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Ended, Trunkline
from tests.platform import SERVICES, Platform
from trunkline.contracts.ids import new_run_id

QUESTION = "What is the status of invoice 1042?"


@pytest.fixture
def asked(trunkline: Trunkline) -> str:
    """A run that has been answered, and that the ledger knows."""
    run = new_run_id()
    assert (
        trunkline("ask", "Pass this on to the right desk", "--agent", "desk", "--user", "anna", "--run", run).code == 0
    )
    known(trunkline, run)
    return run


def known(trunkline: Trunkline, run: str) -> None:
    """Until the ledger has read the run's answer: it follows the log."""
    said = ""
    for _ in range(50):
        ended = trunkline("show", run, "--json")
        if ended.code == 0 and ended.json["summary"]["answered_at"]:
            return
        said = ended.out
    pytest.fail(f"the ledger does not know {run}: {said}")


def test_agents_are_listed_once_however_many_workers(trunkline: Trunkline) -> None:
    rows = {row["agent"]: row for row in trunkline("agents", "--json").json}
    assert set(rows) == {"billing", "catalog", "broken", "desk", "slow"}
    assert rows["billing"]["workers"] == 1
    assert rows["billing"]["tools"] == ["find_invoice"]
    assert rows["billing"]["examples"] == 2
    shown = trunkline("agents")
    assert shown.code == 0
    assert "Invoices, refunds and payment methods" in shown.out


def test_tools_show_their_powers(trunkline: Trunkline) -> None:
    rows = {row["tool"]: row for row in trunkline("tools", "--json").json}
    assert set(rows) == {"find_invoice", "reserve_product"}
    assert (rows["find_invoice"]["effect"], rows["reserve_product"]["effect"]) == ("read", "write")
    assert rows["reserve_product"]["timeout_seconds"] == 5
    assert rows["find_invoice"]["isolation"]
    assert "Look up an invoice by its number" in trunkline("tools").out


def test_status_knows_the_bus_its_streams_and_every_service(trunkline: Trunkline, platform: Platform) -> None:
    ended = trunkline("status", "--json")
    assert ended.code == 0
    found = ended.json
    assert found["bus"]["url"] == platform.url
    assert found["missing"] == []
    assert {name: [each["pid"] for each in processes] for name, processes in found["services"].items()} == {
        service: [platform.pid(service)] for service in SERVICES
    }
    shown = trunkline("status").out
    assert "TRUNK" in shown
    assert "ledger" in shown


def test_runs_are_listed_newest_first_and_filtered(trunkline: Trunkline, asked: str) -> None:
    newest = trunkline("runs", "--json", "--limit", "1").json
    assert [run["run"] for run in newest] == [asked]
    assert {run["user"] for run in trunkline("runs", "--json", "--user", "anna").json} == {"anna"}
    assert {run["agent"] for run in trunkline("runs", "--json", "--agent", "billing").json} == {"billing"}
    assert trunkline("runs", "--json", "--user", "nobody").json == []
    assert asked[:18] in trunkline("runs").out
    assert trunkline("runs", "--status", "lost").code == 2


def test_show_draws_the_run_with_the_one_it_delegated(trunkline: Trunkline, asked: str) -> None:
    """A line for each step: the tool and the model calls of the child stand below the parent's."""
    shown = trunkline("show", asked[:18])
    assert shown.code == 0
    assert "answered by desk" in shown.out
    assert "user anna" in shown.out
    lines = shown.out.splitlines()
    asks = next(number for number, line in enumerate(lines) if "asks" in line and "billing" in line)
    tool = next(number for number, line in enumerate(lines) if "find_invoice" in line and "ran" in line)
    assert asks < tool
    assert "━" in lines[asks]
    assert sum("tokens · offline:small" in line for line in lines) == 2
    assert "status: paid" in lines[-1]


def test_show_does_not_know_a_run_that_never_was(trunkline: Trunkline) -> None:
    ended = trunkline("show", "nothing-like-it")
    assert (ended.code, ended.out) == (2, "")
    assert "trunkline runs" in ended.err
    assert trunkline("show", "nothing-like-it", "--json").json["error"]["code"] == "not_found"


def test_totals_add_up(trunkline: Trunkline, asked: str) -> None:
    found = trunkline("totals", "--json").json
    assert found["runs"] == sum(found["by_status"].values())
    shown = trunkline("totals")
    assert shown.code == 0
    assert "offline:small" in shown.out
    assert trunkline("totals", "--since", "yesterday").code == 2


def test_events_are_the_log_itself(trunkline: Trunkline, asked: str) -> None:
    """Straight from the bus, in its order, with the whole body."""
    events = trunkline("events", "--run", asked, "--json").json
    assert [event["subject"].split(".")[4] for event in events] == ["request", "task", "result", "answer"]
    assert events[0]["body"]["user"] == "anna"
    assert [event["sequence"] for event in events] == sorted(event["sequence"] for event in events)
    line = trunkline("events", "--run", asked, "--kind", "request").out
    assert line.count("\n") == 1
    assert "Pass this on to the right desk" in line


def test_events_of_an_agent_are_those_of_its_runs(trunkline: Trunkline, asked: str) -> None:
    """The request too, which names nobody; and no other agent's."""
    events = trunkline("events", "--agent", "desk", "--json", "--limit", "0").json
    kinds = {event["subject"].split(".")[4] for event in events}
    assert {"request", "task", "answer"} <= kinds
    assert {event["subject"].split(".")[5] for event in events if ".task." in event["subject"]} == {"desk"}
    assert not [event for event in events if ".call." in event["subject"]]


def test_events_since_and_limit(trunkline: Trunkline, asked: str) -> None:
    assert len(trunkline("events", "--json", "--limit", "3").json) == 3
    task = trunkline("events", "--run", asked, "--json").json[1]
    after = trunkline("events", "--json", "--since", task["at"], "--limit", "0").json
    assert after[0]["sequence"] == task["sequence"]
    assert trunkline("events", "--json", "--since", "2999-01-01").json == []
    assert trunkline("events", "--kind", "reqest").code == 2


def test_following_goes_on_until_it_is_interrupted(trunkline: Trunkline) -> None:
    """JSON lines as they come; Ctrl-C is 130."""
    asked, run = new_run_id(), new_run_id()
    assert trunkline("ask", QUESTION, "--run", asked).code == 0
    with trunkline.started("events", "--follow", "--json", "--kind", "answer", "--limit", "1") as following:
        assert following.stdout is not None
        assert asked in Ended(0, following.stdout.readline(), "").json["subject"]
        assert trunkline("ask", QUESTION, "--run", run).code == 0
        assert run in Ended(0, following.stdout.readline(), "").json["subject"]
        following.send_signal(signal.SIGINT)
        _, said = following.communicate()
    assert (following.returncode, said) == (130, "")


def test_provisioning_twice_changes_nothing(trunkline: Trunkline) -> None:
    ended = trunkline("provision", "--json")
    assert ended.code == 0
    assert (ended.json["created"], ended.json["differing"]) == ([], {})
    differing = trunkline("provision", "--json", "--replicas", "3")
    assert differing.code == 1
    assert differing.json["differing"]["TRUNK"]["num_replicas"] == {"declared": 3, "found": 1}


def test_status_misses_a_service_that_was_killed(trunkline: Trunkline, platform: Platform, tmp_path: Path) -> None:
    """And what asks it says so, within its patience."""
    asyncio.run(platform.kill("ledger"))
    try:
        ended = trunkline("status")
        assert ended.code == 1
        assert "No ledger is ready" in ended.out
        assert trunkline("status", "--json").json["missing"] == ["ledger"]
        asked = trunkline("runs")
        assert asked.code == 1
        assert "The ledger does not answer" in asked.err
    finally:
        asyncio.run(platform.restart("ledger"))
    assert trunkline("status").code == 0
