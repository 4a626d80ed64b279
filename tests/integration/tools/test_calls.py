"""What an executor does with calls: approvals, retries, cancels, deadlines, failures without a word."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.integration.tools.calls import OneCall, effects
from trunkline.bus import Bus, Lease, LeaseLoop, append, recorded
from trunkline.bus.consumers import Consumer, ensure_consumer, of_tool
from trunkline.bus.dead import parking
from trunkline.contracts.messages import Approval, Cancel, Decision, Note, Result, Started
from trunkline.contracts.subjects import TRUNK, RunKey, calls_of_tool
from trunkline_tools import executor
from trunkline_tools.app import tools_service
from trunkline_tools.service_settings import ToolsSettings

FILE = Path(__file__).with_name("charging.py")
Serving = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture
def serving(bus: Bus) -> Serving:
    """The tool service, in this process."""

    @contextlib.asynccontextmanager
    async def serve(**settings: Any) -> AsyncIterator[None]:
        told = ToolsSettings(nats_url=bus.url, tool_files=[FILE], mcp=False, builtin=False, ack_wait=1, **settings)
        async with tools_service(told).work(bus):
            yield

    return serve


@pytest.fixture
def call(bus: Bus, tmp_path: Path) -> Callable[..., OneCall]:
    def make(tool: str, **arguments: Any) -> OneCall:
        return OneCall(bus, tool, {"book": str(tmp_path / "book")} | arguments)

    return make


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return tmp_path / "book"


Make = Callable[..., OneCall]


def failure(result: Result) -> tuple[str, str]:
    """Its code and its message."""
    assert result.error is not None, result.value
    assert result.error.hint
    return result.error.code, result.error.message


async def acked(bus: Bus, tool: str) -> None:
    async def idle() -> bool:
        info = await bus.api(f"CONSUMER.INFO.TRUNK.tool-{tool}")
        return bool(info["num_ack_pending"] == 0 and info["num_pending"] == 0 and info["delivered"]["consumer_seq"])

    await wait_until(idle, f"the executors of {tool} have nothing left")


# Approvals


async def test_a_tool_that_asks_first_is_not_run_before_somebody_approves(
    bus: Bus, serving: Serving, call: Make, book: Path
) -> None:
    refund = call("refund", cents=5)
    async with serving():
        await refund.issue()
        asked = await refund.asked()
        await acked(bus, "refund")
        assert (asked.reason, asked.arguments, effects(book)) == ("approve", refund.arguments, [])
        assert asked.expires is not None
        assert asked.expires > datetime.now(UTC) + timedelta(minutes=59)
        await refund.decide("approved")
        assert (await refund.result()).value == "5 refunded"
    assert await refund.kinds() == ["call", "approval", "decision", "started", "result"]
    assert len(effects(book)) == 1


async def test_what_is_denied_is_not_run_and_the_agent_hears_why(serving: Serving, call: Make, book: Path) -> None:
    refund = call("refund", cents=5)
    async with serving():
        await refund.issue()
        await refund.asked()
        await refund.decide("denied", value="too much")
        assert failure(await refund.result()) == ("denied", "refund was not run: ada denied it: too much.")
    assert effects(book) == []


@pytest.mark.parametrize("verdict", ["approved", "done"])
async def test_a_decision_about_something_else_approves_nothing(
    serving: Serving, call: Make, book: Path, verdict: str
) -> None:
    """For other arguments, or no verdict about an approval at all."""
    refund = call("refund", cents=5)
    async with serving():
        await refund.issue()
        await refund.asked()
        await refund.decide(verdict, digest="" if verdict == "done" else "another")
        assert failure(await refund.result())[0] == "not_approved"
    assert effects(book) == []


async def test_a_decision_before_the_question_approves_nothing(serving: Serving, call: Make, book: Path) -> None:
    refund = call("refund", cents=5)
    await refund.decide("approved")
    await refund.issue()
    async with serving():
        assert failure(await refund.result())[0] == "not_approved"
    assert effects(book) == []


async def test_an_approval_that_nobody_gives_in_time_expires(serving: Serving, call: Make, book: Path) -> None:
    refund = call("refund", cents=5)
    async with serving(approval_wait=1):
        await refund.issue()
        assert failure(await refund.result()) == ("approval_expired", "refund was not run: nobody approved it in time.")
        assert [(decision.verdict, decision.by) for decision in await refund.of(Decision)] == [("denied", "timer")]
    assert effects(book) == []


async def test_an_approval_that_comes_late_counts_for_nothing(serving: Serving, call: Make, book: Path) -> None:
    """No timekeeper is there, so the person is the first to decide."""
    refund = call("refund", cents=5)
    async with serving(approval_wait=0.1, timers=False):
        await refund.issue()
        asked = await refund.asked()
        await wait_until(lambda: asked.expires is not None and datetime.now(UTC) > asked.expires, "it has expired")
        await refund.decide("approved")
        assert failure(await refund.result())[0] == "approval_expired"
    assert effects(book) == []


async def test_a_question_is_asked_once_and_its_timer_survives_whoever_asked(
    bus: Bus, serving: Serving, call: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The executor dies between asking and setting the timer; the next one asks nothing new, and sets it."""
    refund = call("refund", cents=5)

    async def dies(*_: object) -> None:
        raise RuntimeError("the executor dies here")

    with monkeypatch.context() as broken:
        broken.setattr("trunkline_tools.asking.schedule", dies)
        async with serving(approval_wait=1, timers=False, drain=0):
            await refund.issue()
            await refund.asked()
    async with serving(approval_wait=1000):
        assert failure(await refund.result())[0] == "approval_expired"
    assert (await refund.kinds()).count("approval") == 1


# Retries


@pytest.mark.parametrize(("how", "fails"), [("connection", 2), ("later", 1)])
async def test_what_may_pass_is_tried_again_and_each_try_is_noted(
    serving: Serving, call: Make, book: Path, how: str, fails: int
) -> None:
    flaky = call("flaky", fails=fails, how=how)
    async with serving():
        await flaky.issue()
        assert (await flaky.result()).value == f"worked at try {fails + 1}"
    assert effects(book) == [f"{flaky.key.run}-1"] * (fails + 1)
    noted = await flaky.notes("retry")
    assert [(note["tool"], note["code"]) for note in noted] == [("flaky", "tool_failed")] * fails
    assert all(note["wait_seconds"] >= (0.2 if how == "later" else 0) for note in noted)


async def test_retries_end_and_the_last_failure_is_the_result(serving: Serving, call: Make, book: Path) -> None:
    flaky = call("flaky", fails=9)
    async with serving():
        await flaky.issue()
        assert "the bank hung up" in failure(await flaky.result())[1]
    assert len(effects(book)) == 3
    assert len(await flaky.notes("retry")) == 2


async def test_what_will_not_pass_is_not_tried_again(serving: Serving, call: Make, book: Path) -> None:
    bug = call("flaky", fails=9, how="never")
    async with serving():
        await bug.issue()
        assert "ValueError: a bug" in failure(await bug.result())[1]
        wrong = call("flaky", fails="many")
        await wrong.issue()
        assert failure(await wrong.result())[0] == "invalid_arguments"
    assert len(effects(book)) == 1
    assert await bug.notes("retry") + await wrong.notes("retry") == []


async def test_a_read_whose_sandbox_died_is_tried_again(serving: Serving, call: Make, book: Path) -> None:
    unlucky = call("dies_once")
    async with serving():
        await unlucky.issue()
        assert (await unlucky.result()).value == "worked"
    assert len(effects(book)) == 2


async def test_tries_before_a_crash_count(bus: Bus, serving: Serving, call: Make, book: Path) -> None:
    """An executor noted two failed tries and died; nothing is left but the last one."""
    flaky = call("flaky", fails=9)
    await had_by_another(bus, flaky)
    for number in (1, 2):
        await append(bus, flaky.key.step("note", "tools", f"retry-1-{number}"), Note(what="retry"))
    async with serving():
        await flaky.result()
    assert len(effects(book)) == 1


async def had_by_another(bus: Bus, call: OneCall) -> None:
    """The call was delivered to an executor that died with it."""
    had = asyncio.Event()

    async def die(lease: Lease) -> None:
        had.set()
        await lease.retry(0.2)

    async with LeaseLoop(bus, of_tool(call.tool, ack_wait=1), die, park=parking(bus, "x")).running():
        await call.issue()
        await had.wait()


# Deadlines and ends


async def test_a_call_whose_deadline_passed_in_the_queue_is_not_run(serving: Serving, call: Make, book: Path) -> None:
    late = call("charge", gate="x")
    await late.issue(deadline=datetime.now(UTC) - timedelta(seconds=1))
    async with serving():
        code, message = failure(await late.result())
    assert code == "deadline_passed"
    assert "passed while it waited" in message
    assert effects(book) == []
    assert await late.attempts() == []


async def test_a_call_of_a_run_that_has_ended_is_not_run_by_who_takes_over(
    bus: Bus, serving: Serving, call: Make, book: Path
) -> None:
    cancelled, answered = call("charge", gate="x"), call("charge", gate="y")
    await had_by_another(bus, cancelled)
    await had_by_another(bus, answered)
    await cancelled.cancel()
    await answered.answer()
    async with serving():
        assert failure(await cancelled.result()) == ("cancelled", "charge was not run: its run was cancelled by ada.")
        assert failure(await answered.result())[0] == "run_ended"
    assert effects(book) == []


async def test_cancelling_a_run_ends_what_it_runs(serving: Serving, call: Make, tmp_path: Path, book: Path) -> None:
    """A read is over; of an effect that was under way a person has to say what became of it."""
    gates = [tmp_path / "one", tmp_path / "two"]
    reading, writing = OneCall(call("x").bus, "linger", {"gate": str(gates[0])}), call("charge", gate=str(gates[1]))
    async with serving():
        for each in (reading, writing):
            await each.issue()
        await wait_until(lambda: all(Path(f"{gate}.reached").exists() for gate in gates), "both are under way")
        for each in (reading, writing):
            await each.cancel()
        assert failure(await reading.result()) == ("cancelled", "linger was stopped: its run was cancelled by ada.")
        result = await writing.result()
        await writing.decide("done", doubt=1)
    assert failure(result)[0] == "cancelled"
    assert result.error is not None
    assert result.error.data["effect"] == "unknown"
    assert "not known" in result.error.hint
    assert [asked.reason for asked in await writing.of(Approval)] == ["in_doubt"]
    assert await reading.of(Approval) == []
    assert len(effects(book)) == 1
    for gate in gates:
        gate.touch()


async def test_a_hint_alone_cancels_nothing(bus: Bus, serving: Serving, call: Make, tmp_path: Path) -> None:
    """What is said on core NATS, and is not on the log, is not believed."""
    gate = tmp_path / "gate"
    reading = OneCall(bus, "linger", {"gate": str(gate)})
    elsewhere = RunKey.checked(reading.key.run, "another-conversation")
    async with serving():
        await reading.issue()
        await wait_until(Path(f"{gate}.reached").exists, "it is under way")
        await append(bus, elsewhere.cancel, Cancel(by="eve"))
        await wait_until(lambda: recorded_cancel(bus, elsewhere), "the other cancel is recorded")
        gate.touch()
        assert (await reading.result()).value == "waited"


async def recorded_cancel(bus: Bus, key: RunKey) -> bool:
    return await recorded(bus, str(key.cancel)) is not None


# Effects that end without a word


async def test_an_effect_that_hangs_is_a_failure_that_says_it_is_not_known(
    serving: Serving, call: Make, book: Path
) -> None:
    stall = call("stall")
    async with serving():
        await stall.issue()
        result = await stall.result()
    assert "did not return within 1 s" in failure(result)[1]
    assert result.error is not None
    assert (result.error.data["reason"], result.error.data["effect"]) == ("hung", "unknown")
    assert [asked.reason for asked in await stall.of(Approval)] == ["in_doubt"]
    assert len(effects(book)) == 1


async def test_reconcile_also_clears_up_what_was_ended_here(serving: Serving, call: Make, tmp_path: Path) -> None:
    """Both are cancelled in the middle; one had its effect, the other had not."""
    paid = call("pay", book=str(tmp_path / "paid"), gate=str(tmp_path / "one"))
    prepared = call("prepare", book=str(tmp_path / "prepared"), gate=str(tmp_path / "two"))
    async with serving():
        for each in (paid, prepared):
            await each.issue()
            await wait_until(Path(f"{each.arguments['gate']}.reached").exists, f"{each.tool} is under way")
            await each.cancel()
        assert (await paid.result()).value == "found in the book"
        result = await prepared.result()
    assert failure(result)[0] == "cancelled"
    assert result.error is not None
    assert result.error.data["effect"] == "none"
    assert await prepared.of(Approval) == []
    assert effects(tmp_path / "prepared") == []


# Doubt


async def test_a_call_that_only_looks_fresh_is_in_doubt_all_the_same(
    bus: Bus, serving: Serving, call: Make, book: Path
) -> None:
    """Its consumer was made anew, and counts from 1 again; or another log said `started`."""
    charge = call("charge", gate="x")
    await append(bus, charge.key.step("started", "charge", "1-1"), Started(executor="gone", delivery=1))
    await charge.issue()
    async with serving():
        assert (await charge.asked()).reason == "in_doubt"
    assert effects(book) == []


async def test_a_result_that_comes_after_all_settles_the_doubt(
    bus: Bus, serving: Serving, call: Make, book: Path
) -> None:
    """Whoever was believed dead was only away; what a person says then changes nothing."""
    charge = call("charge", gate="x")
    await append(bus, charge.key.step("started", "charge", "1-1"), Started(executor="away", delivery=1))
    await charge.issue()
    async with serving():
        await charge.asked()
        await append(bus, charge.key.step("result", "clerk", "1"), Result(tool="charge", value="it was me"))
        await charge.decide("retry", doubt=1)
        await acked(bus, "charge")
    assert [result.value for result in await charge.of(Result)] == ["it was me"]
    assert effects(book) == []


@pytest.mark.parametrize("verdict", ["retry", "done"])
async def test_deciding_about_a_run_that_has_ended_is_recorded_and_runs_nothing(
    bus: Bus, serving: Serving, call: Make, book: Path, verdict: str
) -> None:
    charge = call("charge", gate="x")
    await append(bus, charge.key.step("started", "charge", "1-1"), Started(executor="gone", delivery=1))
    await charge.issue()
    async with serving():
        await charge.asked()
        await charge.answer()
        await charge.decide(verdict, doubt=1, value=7)
        result = await charge.result()
    assert result.value == (7 if verdict == "done" else None)
    assert (result.error.code if result.error else "") == ("" if verdict == "done" else "run_ended")
    assert effects(book) == []


async def test_a_verdict_about_other_arguments_leaves_the_doubt(
    bus: Bus, serving: Serving, call: Make, book: Path
) -> None:
    charge = call("charge", gate="x")
    await append(bus, charge.key.step("started", "charge", "1-1"), Started(executor="gone", delivery=1))
    await charge.issue()
    async with serving():
        await charge.asked()
        await charge.decide("retry", doubt=1, digest="another")
        assert failure(await charge.result())[0] == "in_doubt"
    assert effects(book) == []


async def test_the_next_attempt_waits_until_the_one_before_is_over_for_certain(
    bus: Bus, serving: Serving, call: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody hears of the executor that made it; its sandbox may still be at work, up to the time-out."""
    stall = call("stall")
    monkeypatch.setattr(executor, "OVER_SECONDS", 1.0)
    async with serving():
        await append(bus, stall.key.step("started", "stall", "1-1"), Started(executor="away", delivery=1))
        await stall.issue()
        await stall.asked()
        await stall.decide("retry", doubt=1)
        await stall.result()
    first, second = [event.at for event in await stall.events() if isinstance(event.fact, Started)]
    assert (second - first).total_seconds() >= 2.0


async def test_an_attempt_that_would_begin_too_late_is_not_made(
    serving: Serving, call: Make, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The executor was frozen behind its `started`, long enough for another one to go on without it."""
    charge = call("charge", gate="x")
    monkeypatch.setattr(executor, "BEGIN_SECONDS", -1.0)
    async with serving():
        await charge.issue()
        assert (await charge.asked()).reason == "in_doubt"
    assert effects(book) == []


# The consumer


async def test_executors_of_a_bus_that_knew_no_decisions_get_them(bus: Bus, serving: Serving, call: Make) -> None:
    """A consumer that was made by an earlier version listens to calls only."""
    older = Consumer(TRUNK, "tool-refund", (calls_of_tool("refund"),), 1)
    await ensure_consumer(bus, older)
    refund = call("refund", cents=5)
    async with serving():
        await refund.issue()
        await refund.asked()
        await refund.decide("approved")
        assert (await refund.result()).value == "5 refunded"


async def test_a_decision_about_no_call_disturbs_nobody(bus: Bus, serving: Serving, call: Make) -> None:
    stray, refund = call("refund", cents=1), call("refund", cents=5)
    await stray.decide("approved")
    async with serving():
        await acked(bus, "refund")
        await refund.issue()
        assert (await refund.asked()).reason == "approve"
    assert await stray.kinds() == ["decision"]
    assert (await bus.api("STREAM.INFO.OPS"))["state"]["messages"] == 0
