"""A supervisor keeps processes running, says what happens to them, and leaves none behind."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import wait_until
from trunkline.bus import Bus
from trunkline.contracts.errors import InvalidSettings
from trunkline.host.events import Event, GaveUp, Left, Ready
from trunkline.host.log_lines import LogLine
from trunkline.host.services import ProcessPlan
from trunkline.host.supervisor import Supervisor

FAKE = str(Path(__file__).with_name("fake_service.py"))


def plan(bus: Bus, name: str, mood: str = "") -> ProcessPlan:
    environment = {"NATS_URL": bus.url, "PATH": os.environ["PATH"]}
    return ProcessPlan(name, name, (sys.executable, FAKE, name, mood), environment)


async def test_it_starts_again_what_was_killed(bus: Bus, tmp_path: Path) -> None:
    said: list[Event] = []
    supervisor = Supervisor(bus, [plan(bus, "one"), plan(bus, "two")], tmp_path, said.append)
    async with supervisor.running():
        await supervisor.until_ready()
        first, other = supervisor.pid("one"), supervisor.pid("two")
        os.kill(first, signal.SIGKILL)
        await wait_until(lambda: sum(isinstance(each, Ready) for each in said) == 3, "three times ready")
        assert supervisor.pid("one") not in {0, first}
        assert supervisor.pid("two") == other
    assert Left("one", -signal.SIGKILL, 0.2) in said


async def test_leaving_lets_each_finish_and_leaves_none(bus: Bus, tmp_path: Path) -> None:
    said: list[Event] = []
    supervisor = Supervisor(bus, [plan(bus, "one"), plan(bus, "two")], tmp_path, said.append)
    async with supervisor.running():
        await supervisor.until_ready()
        pids = [supervisor.pid("one"), supervisor.pid("two")]
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert [each.sentence for each in said if isinstance(each, LogLine)] == ["all done", "all done"]
    assert (tmp_path / "one.log").read_text() == "all done\n"


async def test_one_that_refuses_to_start_is_given_up(bus: Bus, tmp_path: Path) -> None:
    """Exit code 2 says that starting it again does not help; its own words have been passed on."""
    said: list[Event] = []
    supervisor = Supervisor(bus, [plan(bus, "one"), plan(bus, "two", "refuses")], tmp_path, said.append)
    async with supervisor.running():
        with pytest.raises(InvalidSettings, match="two cannot start"):
            await supervisor.until_ready()
    assert GaveUp("two") in said
    assert [each.hint for each in said if isinstance(each, LogLine) and each.service == "two"] == ["Mend it."]


async def test_kill_ends_also_one_that_does_not_listen(bus: Bus, tmp_path: Path) -> None:
    supervisor = Supervisor(bus, [plan(bus, "one", "deaf")], tmp_path, lambda event: None)
    async with supervisor.running():
        await supervisor.until_ready()
        pid = supervisor.pid("one")
        supervisor.kill()
    assert not psutil.pid_exists(pid)
