"""What the rest relies on the bus for, on a real nats-server."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import wait_until
from trunkline.bus import Bus, Lease, LeaseLoop, append, fold, follow, last, provision
from trunkline.bus.consumers import Consumer, ensure_consumer
from trunkline.contracts.errors import BusUnavailable, ModelFailed
from trunkline.contracts.ids import new_run_id
from trunkline.contracts.messages import Note, Request, Task
from trunkline.contracts.subjects import TRUNK, RunKey
from trunkline.host.server import EmbeddedServer, free_port


def a_run(conversation: str = "c1") -> RunKey:
    return RunKey.checked(new_run_id(), conversation)


async def test_a_fact_is_written_once_and_the_second_writer_reads_the_first(bus: Bus) -> None:
    key = a_run()
    first = await append(bus, key.step("request", "router"), Request(text="one"))
    second = await append(bus, key.step("request", "router"), Request(text="two"))
    assert first.own
    assert second.sequence == first.sequence
    assert second.event is not None
    assert second.event.fact == Request(text="one", id=second.event.fact.id)


async def test_publishing_the_same_event_again_is_known_as_ones_own(bus: Bus) -> None:
    key = a_run()
    first = await append(bus, key.step("request", "router"), Request(text="one", id="e1"))
    again = await append(bus, key.step("request", "router"), Request(text="one", id="e1"))
    assert again.own
    assert again.sequence == first.sequence


async def test_a_step_decided_once_is_fenced_under_any_name(bus: Bus) -> None:
    key = a_run()
    await append(bus, key.step("task", "billing"), Task(user="u"), whoever=True)
    other = await append(bus, key.step("task", "catalog"), Task(user="u"), whoever=True)
    assert other.event is not None
    assert other.event.subject.name == "billing"


async def test_a_fold_gives_the_run_in_order_and_leaves_out_what_cannot_be_read(bus: Bus) -> None:
    key = a_run()
    await append(bus, key.step("request", "router"), Request(text="q"))
    await bus.client.publish(str(key.step("task", "billing")), b"\xff\x00 no json")
    for step in range(3):
        await append(bus, key.step("note", "test", str(step)), Note(what=f"n{step}"))
    events = await fold(bus, key.everything)
    assert [event.subject.kind for event in events] == ["request", "note", "note", "note"]
    assert [event.sequence for event in events] == sorted(event.sequence for event in events)


async def test_a_fold_of_more_steps_than_one_answer_holds_is_complete(bus: Bus) -> None:
    key = a_run()
    await asyncio.gather(*(append(bus, key.step("note", "test", str(n)), Note(what=str(n))) for n in range(1100)))
    events = await fold(bus, key.everything)
    assert {event.subject.step for event in events} == {str(n) for n in range(1100)}


async def test_a_fold_that_is_older_than_it_must_be_is_not_accepted(bus: Bus) -> None:
    key = a_run()
    stored = await append(bus, key.step("request", "router"), Request(text="q"))
    assert len(await fold(bus, key.everything, at_least=stored.sequence)) == 1
    with pytest.raises(BusUnavailable, match="behind message"):
        await fold(bus, key.everything, at_least=stored.sequence + 1)


async def test_a_large_fact_travels_as_a_reference(bus: Bus) -> None:
    key = a_run()
    text = "long " * 40_000
    await append(bus, key.step("request", "router"), Request(text=text))
    event = await last(bus, str(key.step("request", "router")))
    assert event is not None
    assert event.fact.text == text  # type: ignore[attr-defined]
    stored = await bus.api(f"STREAM.MSG.GET.{TRUNK}", {"last_by_subj": str(key.step("request", "router"))})
    assert len(stored["message"]["data"]) < 300


async def test_provisioning_twice_changes_nothing_and_a_difference_is_said(bus: Bus) -> None:
    again = await provision(bus)
    assert (again.created, again.differing) == ([], {})
    info = await bus.api("STREAM.INFO.OPS")
    await bus.api("STREAM.UPDATE.OPS", info["config"] | {"max_msgs_per_subject": 7, "allow_direct": False})
    assert (await provision(bus)).differing == {"OPS": {"allow_direct": (True, False)}}


async def test_provisioning_says_what_it_created(server: EmbeddedServer) -> None:
    async with Bus.open(server.url) as bus:
        first = await provision(bus)
        assert TRUNK in first.created
        assert first.kept == []
        assert (await provision(bus)).kept == first.created


async def test_a_consumer_with_other_settings_is_said(bus: Bus) -> None:
    consumer = Consumer(TRUNK, "c", ("trunk.*.*.*.task.a.*",))
    assert (await ensure_consumer(bus, consumer)).differences == {}
    assert (await ensure_consumer(bus, consumer)).differences == {}
    slower = Consumer(TRUNK, "c", ("trunk.*.*.*.task.a.*",), ack_wait=20)
    assert list((await ensure_consumer(bus, slower)).differences) == ["ack_wait"]


async def park_nothing(lease: Lease, error: Exception) -> None:
    pytest.fail(f"parked {lease.message.subject}: {error}")


async def test_a_lease_loop_works_on_no_more_than_its_slots(bus: Bus) -> None:
    most = done = 0

    async def handle(lease: Lease) -> None:
        nonlocal most, done
        most = max(most, loop.busy)
        await asyncio.sleep(0.002)
        await lease.ack()
        done += 1

    loop = LeaseLoop(bus, Consumer(TRUNK, "w", ("trunk.*.*.*.note.w.*",)), handle, park=park_nothing, slots=4)
    async with loop.running():
        key = a_run()
        await asyncio.gather(*(append(bus, key.step("note", "w", str(n)), Note(what="x")) for n in range(60)))
        await wait_until(lambda: done == 60, "60 messages handled")
    assert most == 4
    info = await bus.api(f"CONSUMER.INFO.{TRUNK}.w")
    assert info["num_ack_pending"] == 0
    assert info["num_redelivered"] == 0


async def test_a_slow_handler_keeps_its_lease_by_heartbeats(bus: Bus) -> None:
    deliveries: list[int] = []
    finished = asyncio.Event()

    async def handle(lease: Lease) -> None:
        deliveries.append(lease.delivery)
        await asyncio.sleep(4)
        await lease.ack()
        finished.set()

    consumer = Consumer(TRUNK, "w", ("trunk.*.*.*.note.w.*",), ack_wait=3)
    async with LeaseLoop(bus, consumer, handle, park=park_nothing).running():
        await append(bus, a_run().step("note", "w"), Note(what="x"))
        await finished.wait()
    assert deliveries == [1]


async def test_a_failure_is_delivered_again_later_and_counted(bus: Bus) -> None:
    deliveries: list[int] = []

    async def handle(lease: Lease) -> None:
        deliveries.append(lease.delivery)
        if lease.delivery < 3:
            raise ModelFailed("not yet")
        await lease.ack()

    consumer = Consumer(TRUNK, "w", ("trunk.*.*.*.note.w.*",))
    async with LeaseLoop(bus, consumer, handle, park=park_nothing).running():
        await append(bus, a_run().step("note", "w"), Note(what="x"))
        await wait_until(lambda: deliveries == [1, 2, 3], "the third delivery")


async def test_a_lease_loop_goes_on_after_the_server_was_killed(bus: Bus, server: EmbeddedServer) -> None:
    seen: set[str] = set()

    async def handle(lease: Lease) -> None:
        seen.add(lease.message.subject)
        await lease.ack()

    key = a_run()
    async with LeaseLoop(bus, Consumer(TRUNK, "w", ("trunk.*.*.*.note.w.*",)), handle, park=park_nothing).running():
        await append(bus, key.step("note", "w", "1"), Note(what="x"))
        await wait_until(lambda: len(seen) == 1, "the first message")
        await server.stop(kill=True)
        await server.start()
        await append(bus, key.step("note", "w", "2"), Note(what="y"))
        await wait_until(lambda: len(seen) == 2, "the message after the restart", seconds=60)


async def test_following_gives_every_message_once_through_a_server_kill(bus: Bus, server: EmbeddedServer) -> None:
    key = a_run()
    got: list[int] = []

    async def read() -> None:
        async for batch in follow(bus, TRUNK):
            got.extend(message.sequence for message in batch)

    reader = asyncio.create_task(read())
    for n in range(50):
        await append(bus, key.step("note", "w", str(n)), Note(what="x"))
    await wait_until(lambda: len(got) == 50, "50 messages followed")
    await server.stop(kill=True)
    await server.start()
    for n in range(50, 100):
        await append(bus, key.step("note", "w", str(n)), Note(what="x"))
    await wait_until(lambda: len(got) >= 100, "100 messages followed", seconds=60)
    reader.cancel()
    assert got == list(range(1, 101))


async def test_no_bus_is_said_clearly() -> None:
    with pytest.raises(BusUnavailable, match=r"No bus at .* `trunkline up`"):
        async with Bus.open(f"nats://127.0.0.1:{free_port()}", wait=1.0):
            pass
