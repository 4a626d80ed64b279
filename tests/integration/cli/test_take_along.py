"""A log goes into a file and onto another bus: there it is what it was, and nothing on it is done again."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.integration.cli.conftest import BINARY, SHOP, Trunkline
from tests.platform import Platform
from trunkline.bus import Bus, append, fold
from trunkline.bus.objects import INLINE_LIMIT
from trunkline.bus.streams import stream_info
from trunkline.client import Client
from trunkline.client.query import query
from trunkline.contracts.errors import RunFailed
from trunkline.contracts.ids import new_run_id
from trunkline.contracts.messages import Note, Request
from trunkline.contracts.subjects import ROUTER, TIMERS, RunKey
from trunkline.host.server import free_port
from trunkline_ledger.dump import dump
from trunkline_ledger.store import open_store

pytestmark = pytest.mark.timeout(180)
QUESTION = "What is the status of invoice 1042?"
LARGE = "lamp " * INLINE_LIMIT
GARBAGE, UNSPEAKABLE = "trunk.a.b", "trunk.*.b"


@dataclass(frozen=True)
class Incident:
    """What happened on the first platform: its log in `file`, what was seen of it, and the runs it did not finish."""

    folder: Path
    seen: dict[str, Any]
    events: list[Any]
    unfinished: tuple[str, ...]

    @property
    def file(self) -> Path:
        return self.folder / "log.jsonl"

    @property
    def exported(self) -> list[Any]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]


@dataclass(frozen=True)
class Elsewhere:
    """`trunkline up` on the imported log."""

    folder: Path
    bus: Bus
    trunkline: Trunkline

    async def said(self, *words: str) -> Any:  # any JSON value
        return (await asyncio.to_thread(self.trunkline, *words, "--json")).json


async def seen(bus: Bus) -> dict[str, Any]:
    """What `trunkline runs`, `show` and `totals` print with --json; but for messages that could not be read or are
    gone, since what cannot be published again is a gap where it was a problem.
    """
    runs = await query(bus, "ledger", "runs", children=True)
    shown = {run["run"]: await query(bus, "ledger", "run", run=run["run"]) for run in runs}
    totals = await query(bus, "ledger", "totals")
    return {"runs": runs, "shown": shown, "totals": totals | {"events": 0, "problems": 0, "gaps": 0}}


@pytest.fixture(scope="module")
def incident(tmp_path_factory: pytest.TempPathFactory) -> Incident:
    return asyncio.run(_happened(tmp_path_factory.mktemp("incident")))


async def _happened(folder: Path) -> Incident:
    platform = Platform(folder, SHOP)
    trunkline = Trunkline(platform.env)
    try:
        await platform.start()
        async with Bus.open(platform.url) as bus:
            client = Client(bus, user="ada")
            await client.ask(QUESTION, agent="billing")
            await client.ask("Pass it on", agent="desk")
            for failing in (client.ask("Fail, please", agent="broken"), client.ask(LARGE, agent="nobody")):
                with pytest.raises(RunFailed):
                    await failing
            asleep = await _unfinished(bus, "slow", "call")
            await platform.kill("agents")
            waiting = await _unfinished(bus, "billing", "task")
            await bus.mailbox.request(GARBAGE, b"\xff\x00", headers={"Nats-Msg-Id": "x", "Said": "so"})
            await bus.mailbox.request(UNSPEAKABLE, b"nobody can say this again")
            await append(bus, RunKey.checked(new_run_id(), "c").step("note", "test"), Note(what="the end"))
            events = await asyncio.to_thread(trunkline, "events", "--limit", "0", "--json")
            exported = await asyncio.to_thread(trunkline, "events", "--output", "jsonl", "--limit", "0")
            incident = Incident(folder, await seen(bus), events.json, (asleep, waiting))
            incident.file.write_text(exported.out)
            return incident
    finally:
        await platform.stop()


async def _unfinished(bus: Bus, agent: str, kind: str) -> str:
    """A run that has come as far as this kind of step, and no further."""
    key = RunKey.checked(new_run_id(), agent)
    await append(bus, key.step("request", ROUTER), Request(text=QUESTION, agent=agent))

    async def there() -> bool:
        return kind in {event.subject.kind for event in await fold(bus, key.everything)}

    await wait_until(there, f"the run has a {kind}", seconds=60)
    return key.run


@pytest.fixture
async def elsewhere(incident: Incident, tmp_path: Path) -> AsyncIterator[Elsewhere]:
    port = free_port()
    trunkline = Trunkline(_environment(tmp_path, port))
    words = ["events", "import", str(incident.file), "--data", str(tmp_path), "--json"]
    last = len(incident.exported)
    assert (await asyncio.to_thread(trunkline, *words)).json == {
        "imported": last - 1,
        "first": 1,
        "last": last,
        "left_out": [last - 1],
    }
    words = ["up", str(SHOP), "--data", str(tmp_path), "--port", str(port)]
    without_bus = {name: value for name, value in trunkline.env.items() if name != "NATS_URL"}
    up = subprocess.Popen(  # noqa: ASYNC220  # returns at once
        [str(BINARY), *words], env=without_bus, stdout=subprocess.PIPE, text=True
    )
    try:
        assert up.stdout is not None
        assert await asyncio.to_thread(lambda: any("Ctrl-C" in line for line in up.stdout or ())), "up did not start"
        async with Bus.open(f"nats://127.0.0.1:{port}") as bus:
            yield Elsewhere(tmp_path, bus, trunkline)
    finally:
        up.send_signal(signal.SIGINT)
        await asyncio.to_thread(up.communicate, timeout=30)


def _environment(folder: Path, port: int) -> dict[str, str]:
    return Platform(folder, SHOP).env | {"NATS_URL": f"nats://127.0.0.1:{port}", "TRUNKLINE_DATA": str(folder)}


def test_the_file_holds_everything(incident: Incident) -> None:
    events = incident.exported
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    (garbage,) = [event for event in events if event["subject"] == GARBAGE]
    assert (garbage["base64"], garbage["headers"]) == ("/wA=", {"Nats-Msg-Id": "x", "Said": "so"})
    (large,) = [event for event in events if event.get("apart") and ".request." in event["subject"]]
    assert large["body"]["text"] == LARGE


async def test_an_imported_log_shows_what_was_and_is_left_alone(incident: Incident, elsewhere: Elsewhere) -> None:
    """Runs, steps, durations, money and the ledger's rows are the same; then a new question is answered, also behind
    one of the same conversation that never was.
    """
    bus, said = elsewhere.bus, elsewhere.said
    assert await seen(bus) == incident.seen
    assert await rows(elsewhere.folder / "data") == await rows(incident.folder / "data")
    kept = [event for event in incident.events if event["subject"] != UNSPEAKABLE]
    assert await said("events", "--limit", "0") == kept
    assert await said("events", "--since", kept[5]["at"], "--limit", "0") == kept[5:]
    assert await said("events", "--until", kept[5]["at"], "--limit", "0") == kept[:5]

    reply = await Client(bus).ask(QUESTION, agent="billing", conversation="billing")
    assert "4990" in reply.text
    new = (await said("events", "--limit", "0"))[len(kept) :]
    assert {event["subject"].split(".")[3] for event in new} == {reply.run}
    running = await query(bus, "ledger", "runs", status="running")
    assert {run["run"] for run in running} == set(incident.unfinished)
    assert (await stream_info(bus, TIMERS)).last_sequence == 0


def test_services_that_run_are_not_given_another_log(trunkline: Trunkline, incident: Incident) -> None:
    ended = trunkline("events", "import", str(incident.file))
    assert ended.code == 2
    assert "Services are running" in ended.err
    assert "--data" in ended.err


def test_a_file_comes_on_stdin_too_and_only_into_an_empty_folder(incident: Incident, tmp_path: Path) -> None:
    trunkline = Trunkline(_environment(tmp_path, free_port()))
    excerpt = "".join(f"{line}\n" for line in incident.file.read_text().splitlines()[10:20])
    ended = trunkline("events", "import", "-", "--data", str(tmp_path), stdin=excerpt)
    assert (ended.code, ended.out.splitlines()[0]) == (0, "Imported 10 events, 11 to 20.")
    again = trunkline("events", "import", "-", "--data", str(tmp_path), "--json", stdin=excerpt)
    assert (again.code, again.json["error"]["code"]) == (2, "invalid_arguments")
    cut = trunkline("events", "import", "-", "--data", str(tmp_path / "other"), stdin=excerpt[:-9])
    assert cut.code == 2
    assert "Line 10 cannot be imported" in cut.err
    assert not (tmp_path / "other").exists()


def test_following_writes_lines_as_events_come(trunkline: Trunkline, platform: Platform) -> None:
    words = ["events", "--follow", "--output", "jsonl", "--kind", "request", "--limit", "1"]
    buffered = {name: value for name, value in platform.env.items() if name != "PYTHONUNBUFFERED"}
    run = new_run_id()
    with Trunkline(buffered).started(*words) as following:
        assert trunkline("ask", QUESTION, "--agent", "billing", "--run", run).code == 0
        assert following.stdout is not None
        event = next(event for line in following.stdout if run in (event := json.loads(line))["subject"])
    assert event["body"]["text"] == QUESTION
    assert event["headers"]


async def rows(folder: Path) -> list[tuple[str, bytes]]:
    """What the ledger has, but for where it is, and for what could not be imported."""
    async with open_store(f"sqlite+aiosqlite:///{folder / 'ledger.db'}") as store:
        found = [(table, row) async for table, row in dump(store)]
    return [(table, row) for table, row in found if table not in ("position", "gaps") and b'"trunk.*.b"' not in row]
