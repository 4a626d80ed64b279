"""What people decide at the terminal: approvals, and calls in doubt."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.integration.cli.conftest import BINARY, Ended, Trunkline
from tests.integration.tools.calls import OneCall
from tests.platform import Platform
from trunkline.bus import Bus, append
from trunkline.contracts.messages import Approval, Started

FILE = Path(__file__).with_name("people.py")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    made = Platform(tmp_path_factory.mktemp("people"), FILE)
    try:
        asyncio.run(made.start())
        yield made
    finally:
        asyncio.run(made.stop())


@pytest.fixture
async def bus(platform: Platform) -> AsyncIterator[Bus]:
    async with Bus.open(platform.url) as opened:
        yield opened


async def say(trunkline: Trunkline, *words: str) -> Ended:
    return await asyncio.to_thread(trunkline, *words)


async def asked(platform: Platform) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    """A question whose tool needs an approval, and the line in which its watcher is told so."""
    asking = await asyncio.create_subprocess_exec(
        *(str(BINARY), "ask", "I want my money back", "--agent", "refunds", "--json", "--stream"),
        env=platform.env,
        stdout=asyncio.subprocess.PIPE,
    )
    assert asking.stdout is not None
    async with asyncio.timeout(20):
        while True:
            line = json.loads(await asking.stdout.readline())
            if line.get("kind") == "approval":
                return asking, line


async def ended(asking: asyncio.subprocess.Process) -> dict[str, Any]:
    told, _ = await asking.communicate()
    last: dict[str, Any] = json.loads(told.splitlines()[-1])
    return last


async def test_a_watcher_is_told_what_to_approve_and_sees_what_comes_of_it(
    platform: Platform, trunkline: Trunkline
) -> None:
    asking, line = await asked(platform)
    waits, _, command = line["text"].rpartition(": ")
    assert waits == "waits for a person: refund(invoice=1042, cents=500) must be approved"
    assert command.startswith("trunkline approve ")
    (shown,) = (await say(trunkline, "approvals", "--json")).json
    assert (shown["tool"], shown["agent"], shown["run_waits"]) == ("refund", "refunds", True)
    assert shown["arguments"] == {"invoice": 1042, "cents": 500}
    assert shown["expires"] > shown["since"]
    assert command.endswith(shown["call"])
    table = (await say(trunkline, "approvals")).out
    assert "refund(invoice=1042, cents=500)" in table
    approved = await say(trunkline, *command.split()[1:], "--by", "ada")
    assert (approved.code, "approved by ada" in approved.out) == (0, True)
    assert (await ended(asking))["text"] == "500 cents of invoice 1042 are refunded"
    assert (await say(trunkline, "approvals", "--json")).json == []


async def test_what_is_denied_is_told_with_its_reason(platform: Platform, trunkline: Trunkline) -> None:
    asking, line = await asked(platform)
    call = line["text"].split()[-1]
    denied = await say(trunkline, "deny", call, "--reason", "not this month", "--by", "ada", "--json")
    assert denied.json == {"call": call, "verdict": "denied", "by": "ada", "run_waits": True}
    assert "ada denied it: not this month" in (await ended(asking))["error"]["message"]
    again = await say(trunkline, "approve", call)
    assert again.code == 2
    assert "was decided already: denied by ada" in again.err


async def in_doubt(bus: Bus, tmp_path: Path, cents: int) -> OneCall:
    """A call that an executor began and left without a result."""
    call = OneCall(bus, "transfer", {"book": str(tmp_path / "book"), "cents": cents})
    await append(bus, call.key.step("started", "transfer", "1-1"), Started(executor="gone", delivery=1))
    await call.issue()
    await call.first(Approval)
    return call


@pytest.mark.parametrize(
    ("words", "value", "error", "booked"),
    [
        (("done", "--value", '{"receipt": 7}'), {"receipt": 7}, "", ""),
        (("not-done",), None, "not_done", ""),
        (("retry",), "transferred", "", "5\n"),
    ],
)
async def test_a_doubt_is_listed_until_somebody_says_what_happened(
    bus: Bus, trunkline: Trunkline, tmp_path: Path, words: tuple[str, ...], value: object, error: str, booked: str
) -> None:
    call = await in_doubt(bus, tmp_path, 5)
    (shown,) = (await say(trunkline, "doubts", "--json")).json
    assert (shown["call"], shown["attempt"], shown["run_waits"]) == (f"{call.key.run}/1", 1, True)
    short = (await say(trunkline, "doubts")).out.splitlines()[1].split()[0]
    verdict, *options = words
    decided = await say(trunkline, "doubts", verdict, short, *options, "--by", "ada")
    assert (decided.code, decided.err.count("trunkline show")) == (0, 1)
    assert ('goes on with the value {"receipt": 7}.' in decided.err) == (verdict == "done")
    result = await call.result()
    assert (result.value, result.error.code if result.error else "") == (value, error)
    assert (await say(trunkline, "doubts", "--json")).json == []
    book = tmp_path / "book"
    assert (book.read_text() if book.exists() else "") == booked


async def test_a_doubt_outlives_its_run(bus: Bus, trunkline: Trunkline, tmp_path: Path) -> None:
    call = await in_doubt(bus, tmp_path, 5)
    await call.answer()
    (shown,) = (await say(trunkline, "doubts", "--json")).json
    assert (shown["call"], shown["run_waits"]) == (f"{call.key.run}/1", False)
    decided = await say(trunkline, "doubts", "retry", call.key.run)
    assert "nothing is run" in decided.err
    await call.result()
    assert not (tmp_path / "book").exists()


async def test_what_cannot_be_decided_says_why(bus: Bus, trunkline: Trunkline, tmp_path: Path) -> None:
    nothing = await say(trunkline, "approve", "nobody/1")
    assert (nothing.code, "trunkline approvals" in nothing.err) == (2, True)
    one, two = await in_doubt(bus, tmp_path, 1), await in_doubt(bus, tmp_path, 2)
    several = await say(trunkline, "doubts", "done", one.key.run[:6])
    assert (several.code, one.key.run in several.err, two.key.run in several.err) == (2, True, True)
    bad = await say(trunkline, "doubts", "done", one.key.run, "--value", "{paid}")
    assert (bad.code, "is not JSON" in bad.err) == (2, True)
    for call in (one, two):
        assert (await say(trunkline, "doubts", "not-done", f"{call.key.run}/1")).code == 0
        await call.result()


async def test_what_was_shown_is_what_is_approved(bus: Bus, trunkline: Trunkline, tmp_path: Path) -> None:
    """Somebody wrote a harmless question for another call; approving it approves nothing."""
    call = OneCall(bus, "refund", {"invoice": 1, "cents": 1_000_000})
    harmless = Approval(arguments={"invoice": 1, "cents": 1}, arguments_hash="of the other one", agent="clerk")
    await append(bus, call.key.step("approval", "refund", "1"), harmless)
    await call.issue()
    await wait_until(lambda: acked(bus), "the executor has seen it")
    assert (await say(trunkline, "approve", call.key.run)).code == 0
    result = await call.result()
    assert result.error is not None
    assert result.error.code == "not_approved"


async def acked(bus: Bus) -> bool:
    info = await bus.api("CONSUMER.INFO.TRUNK.tool-refund")
    return bool(info["num_ack_pending"] == 0 and info["num_pending"] == 0)
