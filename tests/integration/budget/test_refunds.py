"""What crashes leave held is given back: as much as the log says that the call did not cost, and once."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.conftest import wait_until
from tests.integration.budget.conftest import Loss, anna, dollars, entries, limited, losing, new_call, totals
from trunkline.budget import Budgets, Hold
from trunkline.budget.counters import look
from trunkline.budget.limits import counter
from trunkline.budget.refunds import READER, Refunds
from trunkline.bus import Bus, append
from trunkline.bus.marks import read_mark
from trunkline.bus.streams import StreamInfo, stream_info
from trunkline.contracts.errors import TryAgain
from trunkline.contracts.messages import Answer, Failure, Model, Note, Prompt
from trunkline.contracts.subjects import BUDGET, RunKey, Subject

TWO = limited(run="1", user_day="1")
SHORT = 0.2
"""Seconds of grace, where nobody is at work any more."""
LONG = f"trunk.main.c.r.prompt.a.{'m' * 62}-9"
"""A prompt's name that leaves no room for a note on it."""
BOTH_HALF = {"run": "0.5", "user-day": "0.5"}


@pytest.fixture
async def budgets(bus: Bus) -> AsyncIterator[Budgets]:
    async with Budgets(TWO).running(bus) as running:
        yield running


@contextlib.asynccontextmanager
async def refunding(bus: Bus, count: int = 1) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(count):
            await stack.enter_async_context(Refunds(bus, grace=SHORT).refunding())
        yield


async def reserved(budgets: Budgets, call: Subject, amount: str = "0.5") -> Hold:
    return await budgets.reserve(anna(), dollars(amount), call=str(call))


async def prompted(bus: Bus, call: Subject, reserved: str = "0.5", *, hold: str = "") -> None:
    attempt = int(call.step.rpartition("-")[2])
    fact = Prompt(model="m", input_hash="h", attempt=attempt, carrier=1, delivery=attempt, reserved=reserved, hold=hold)
    await append(bus, call, fact)


async def came_back(bus: Bus, call: Subject, cost: str, *, spent: bool | None = None) -> None:
    error = None if spent is None else Failure(code="model_failed", message="It failed.", data={"spent": spent})
    fact = Model(model="m", input_hash="h", attempt=int(call.step.rpartition("-")[2]), cost=cost, error=error)
    await append(bus, RunKey.of(call).step("model", call.name, "m1"), fact)


async def answered(bus: Bus, call: Subject) -> None:
    await append(bus, RunKey.of(call).step("answer", "client"), Answer(text="Done."))


async def test_a_process_that_died_before_its_prompt_has_spent_nothing(bus: Bus, budgets: Budgets) -> None:
    await reserved(budgets, new_call())
    async with refunding(bus):
        await wait_for(bus, "0")


async def test_one_that_died_before_it_settled_has_spent_what_the_reply_cost(bus: Bus, budgets: Budgets) -> None:
    call = new_call()
    await reserved(budgets, call)
    await prompted(bus, call)
    await came_back(bus, call, "0.125")
    async with refunding(bus):
        await wait_for(bus, "0.125")
    assert {entry.what for entry in await entries(bus)} == {"reserve", "refund"}


async def test_what_failed_and_cost_nothing_is_given_back(bus: Bus, budgets: Budgets) -> None:
    call = new_call()
    await reserved(budgets, call)
    await prompted(bus, call)
    await came_back(bus, call, "", spent=False)
    async with refunding(bus):
        await wait_for(bus, "0")


async def test_an_attempt_that_another_followed_counts_what_its_note_says(bus: Bus, budgets: Budgets) -> None:
    call = new_call()
    await reserved(budgets, call)
    await prompted(bus, call)
    note = RunKey.of(call).step("note", call.name, "retry-m1-1")
    await append(bus, note, Note(what="retry", data={"spent": True, "cost": "0.25"}))
    async with refunding(bus):
        await wait_for(bus, "0.25")


async def test_an_intent_without_a_result_is_counted_as_spent(bus: Bus, budgets: Budgets) -> None:
    """Beside one that is given back, so that we know that it was looked at."""
    call, other = new_call(), new_call()
    await reserved(budgets, call)
    await prompted(bus, call)
    await answered(bus, call)
    await reserved(budgets, other, "0.3")
    async with refunding(bus):
        await wait_for(bus, "0.5")
        await marked_to_the_end(bus)
    assert await totals(bus) == BOTH_HALF


async def test_a_call_under_way_is_left_alone_until_it_is_known(bus: Bus, budgets: Budgets) -> None:
    call, other = new_call(), new_call()
    await reserved(budgets, call)
    await prompted(bus, call)
    await reserved(budgets, other, "0.3")
    async with refunding(bus):
        await wait_for(bus, "0.5")
        await came_back(bus, call, "0.1")
        await wait_for(bus, "0.1")


async def test_nobody_is_refunded_before_the_grace_is_over(bus: Bus, budgets: Budgets) -> None:
    await reserved(budgets, new_call())
    patient = Refunds(bus, grace=3600)
    async with patient.refunding():
        await wait_until(lambda: patient.open == 2, "all to be read")
        await patient.look()
    assert await totals(bus) == BOTH_HALF


async def test_a_clock_that_is_set_forward_makes_nothing_old(
    bus: Bus, budgets: Budgets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has just reserved it is about to pay."""

    async def an_hour_later(*of: object) -> StreamInfo:
        info = await stream_info(*of)  # type: ignore[arg-type]  # passed on
        return replace(info, now=info.now + timedelta(hours=1))

    monkeypatch.setattr("trunkline.budget.refunds.stream_info", an_hour_later)
    await reserved(budgets, new_call())
    refunds = Refunds(bus)
    async with refunds.refunding():
        await wait_until(lambda: refunds.open == 2, "all to be read")
        await refunds.look()
    assert await totals(bus) == BOTH_HALF


async def test_two_who_refund_at_once_give_back_once(bus: Bus, budgets: Budgets) -> None:
    calls = [new_call() for _ in range(20)]
    for call in calls:
        await reserved(budgets, call, "0.05")
        await prompted(bus, call, "0.05")
        await came_back(bus, call, "0.01")
    async with refunding(bus, 3):
        await wait_for(bus, "0.2")
        await marked_to_the_end(bus)
    found = await entries(bus)
    assert sum(entry.what == "refund" for entry in found) == 2 * len(calls)
    assert await totals(bus) == {"run": "0.2", "user-day": "0.2"}


async def test_an_owner_who_settles_after_the_refund_changes_nothing(bus: Bus, budgets: Budgets) -> None:
    """It stood still for a while."""
    call = new_call()
    hold = await reserved(budgets, call)
    await prompted(bus, call)
    await came_back(bus, call, "0.125")
    async with refunding(bus):
        await wait_for(bus, "0.125")
    await hold.settle(dollars("0.125"))
    assert await totals(bus) == {"run": "0.125", "user-day": "0.125"}


async def test_an_owner_who_settles_before_the_refund_leaves_nothing_to_it(bus: Bus, budgets: Budgets) -> None:
    call = new_call()
    hold = await reserved(budgets, call)
    refunds = Refunds(bus, grace=0)
    await hold.settle(dollars("0.125"))
    async with refunds.refunding():
        await marked_to_the_end(bus)
        assert refunds.open == 0
    assert await totals(bus) == {"run": "0.125", "user-day": "0.125"}


async def test_an_owner_who_knows_better_than_the_log_is_heard(bus: Bus, budgets: Budgets) -> None:
    """Somebody tried again, so nothing was given back; then it came back after all."""
    call = new_call()
    hold = await reserved(budgets, call)
    await prompted(bus, call)
    await prompted(bus, Subject.parse(f"{str(call)[:-1]}2"), "0.5")
    async with refunding(bus):
        await marked_to_the_end(bus)
    await hold.settle(dollars("0.2"))
    assert await totals(bus) == {"run": "0.2", "user-day": "0.2"}


async def test_what_was_reserved_without_anybodys_knowledge_is_given_back(bus: Bus, budgets: Budgets) -> None:
    """An acknowledgement was lost, so the amount was reserved a second time, and that one was settled."""
    call = new_call()
    lost: list[str] = []

    def first(_: str, kind: str) -> Loss:
        lost.append(kind)
        return "reply" if kind == "run" and lost.count("run") == 1 else ""

    with losing(bus, first):
        hold = await reserved(budgets, call, "0.4")
    await prompted(bus, call, "0.4", hold=hold.id)
    await came_back(bus, call, "0.1")
    await hold.settle(dollars("0.1"))
    assert await totals(bus) == {"run": "0.5", "user-day": "0.1"}
    async with refunding(bus):
        await wait_for(bus, "0.1")


async def test_of_two_who_reserved_for_one_call_one_pays(bus: Bus, budgets: Budgets) -> None:
    """Both died: the one whose prompt it is, and the one who came second."""
    call = new_call()
    await prompted(bus, call, hold=(await reserved(budgets, call)).id)
    await reserved(budgets, call)
    await answered(bus, call)
    async with refunding(bus):
        await wait_for(bus, "0.5")
        await marked_to_the_end(bus)
    assert await totals(bus) == BOTH_HALF


async def test_of_two_where_the_prompt_does_not_name_its_hold_one_pays(bus: Bus, budgets: Budgets) -> None:
    """As the log has it of versions that did not say it: here both died, there the first one had settled."""
    both, settled = new_call(), new_call()
    for _ in range(2):
        await reserved(budgets, both, "0.2")
    lost, ours = [await reserved(budgets, settled, "0.2") for _ in range(2)]
    for call in (both, settled):
        await prompted(bus, call, "0.2")
    await answered(bus, both)
    await came_back(bus, settled, "0.1")
    await ours.settle(dollars("0.1"))
    async with refunding(bus):
        await wait_for(bus, "0.3")
        await marked_to_the_end(bus)
    assert lost.id not in {entry.hold for entry in await entries(bus) if entry.what == "settle"}
    assert await totals(bus) == {"run": "0.3", "user-day": "0.3"}


async def test_whoever_comes_second_pays_nothing_when_the_first_has_settled(bus: Bus, budgets: Budgets) -> None:
    """Its reservation arrived late, or it came from a worker that stood still, which then died."""
    call = new_call()
    first = await reserved(budgets, call)
    await prompted(bus, call, hold=first.id)
    await came_back(bus, call, "0.1")
    await first.settle(dollars("0.1"))
    await reserved(budgets, call, "0.3")
    async with refunding(bus):
        await wait_for(bus, "0.1")


async def test_one_that_comes_after_another_goes_on_from_its_mark(bus: Bus, budgets: Budgets) -> None:
    call, unknown = new_call(), new_call()
    for _ in range(3):
        await (await reserved(budgets, call, "0.1")).settle(dollars("0"))
    await reserved(budgets, unknown)
    await prompted(bus, unknown)
    async with refunding(bus):
        first = next(entry for entry in await entries(bus) if entry.call == str(unknown))
        await wait_until_marked(bus, first.sequence - 1)
    await came_back(bus, unknown, "0.1")
    async with refunding(bus):
        await wait_for(bus, "0.1")


async def test_nobody_is_refunded_by_what_was_true_a_while_ago(
    bus: Bus, budgets: Budgets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has not read all that stands there may not know that a hold is settled."""
    monkeypatch.setattr("trunkline.budget.refunds.LAG_SECONDS", 0.1)
    await reserved(budgets, new_call())
    behind = Refunds(bus, grace=0)
    for entry in await entries(bus):
        behind._take(entry)
    with pytest.raises(TryAgain, match="read up to 0"):
        await behind.look()
    assert await totals(bus) == BOTH_HALF


async def test_rubbish_among_the_entries_stops_nothing(bus: Bus, budgets: Budgets) -> None:
    """Whatever comes first is looked at first."""
    entry = {"Nats-Incr": "+0", "Trunkline-What": "reserve", "Trunkline-Hold": "h"}
    for headers in (
        {"Nats-Incr": "+0"},
        {**entry, "Trunkline-Call": "x"},
        {**entry, "Trunkline-Call": LONG},
        {**entry, "Trunkline-Call": LONG[:-2]},
        {**entry, "Trunkline-Call": "", "Trunkline-What": "?"},
    ):
        await bus.mailbox.request(counter("main", "run", "-", "r"), b"", headers=headers)
    unheard_of = {**entry, "Nats-Incr": "+5", "Trunkline-Call": str(new_call())}
    await bus.mailbox.request("budget.unheard-of", b"", headers=unheard_of)
    held = (await reserved(budgets, new_call())).limits

    async def is_given_back() -> bool:
        return {count.pico for count in (await look(bus, held)).values()} == {0}

    async with refunding(bus):
        await wait_until(is_given_back, "the rest to be given back")


async def wait_for(bus: Bus, amount: str) -> None:
    async def same() -> bool:
        return set((await totals(bus)).values()) == {amount}

    await wait_until(same, f"{amount} dollars in each budget")


async def wait_until_marked(bus: Bus, sequence: int) -> None:
    async def is_marked() -> bool:
        return (await read_mark(bus, READER, BUDGET)).sequence >= sequence

    await wait_until(is_marked, f"a mark at {sequence}")


async def marked_to_the_end(bus: Bus) -> None:
    """Until nothing is open any more."""
    await wait_until_marked(bus, (await entries(bus))[-1].sequence)
