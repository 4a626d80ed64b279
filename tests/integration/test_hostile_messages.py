"""Whoever may publish may publish anything: no message ends a connection, and none hides another one."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import wait_until
from trunkline.bus import Bus, Lease, LeaseLoop, append, fold, read_event, recorded
from trunkline.bus.consumers import of_router
from trunkline.contracts.ids import new_run_id
from trunkline.contracts.messages import Note, Request
from trunkline.contracts.subjects import RunKey
from trunkline.host.server import EmbeddedServer


def a_run() -> RunKey:
    return RunKey.checked(new_run_id(), "c1")


async def publish_raw(server: EmbeddedServer, command: bytes) -> None:
    """As a client would that checks nothing; returns when the server has taken it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await reader.readline()
    writer.write(b'CONNECT {"verbose":false,"pedantic":false,"headers":true}\r\n' + command + b"PING\r\n")
    async with asyncio.timeout(30):
        assert await reader.readline() == b"PONG\r\n"
    writer.close()
    await writer.wait_closed()


def with_headers(subject: bytes, headers: bytes, body: bytes = b"{}") -> bytes:
    return b"HPUB %s %d %d\r\n%s%s\r\n" % (subject, len(headers), len(headers) + len(body), headers, body)


@pytest.mark.parametrize(
    "headers",
    [None, b"NATS/1.0", b"NATS/1.0 \xff\xfe\xff\r\n\r\n", b"NATS/1.0 200 \xff\xff\r\n\r\n"],
    ids=["a subject that is not UTF-8", "headers without an end", "a status", "a description"],
)
async def test_a_message_that_cannot_be_read_is_parked_and_the_next_one_is_handled(
    bus: Bus, server: EmbeddedServer, headers: bytes | None
) -> None:
    handled: list[str] = []
    parked: list[int] = []

    async def handle(lease: Lease) -> None:
        event = await read_event(bus, lease.message)
        handled.append(event.fact.text)  # type: ignore[attr-defined]
        await lease.ack()

    async def park(lease: Lease, _error: Exception) -> None:
        parked.append(lease.sequence)

    subject = f"trunk.main.c1.{new_run_id()}.request.router.".encode()
    garbage = b"not json"
    if headers is None:
        await publish_raw(server, b"PUB %s\xff\xfe %d\r\n%s\r\n" % (subject, len(garbage), garbage))
    else:
        await publish_raw(server, with_headers(subject + b"0", headers, garbage))
    async with LeaseLoop(bus, of_router(), handle, park=park).running():
        await append(bus, a_run().step("request", "router"), Request(text="good"))
        await wait_until(lambda: handled == ["good"], "the good message")
        await wait_until(lambda: parked == [1], "the bad one parked")


async def test_a_fold_reads_past_messages_that_cannot_be_read(bus: Bus, server: EmbeddedServer) -> None:
    key = a_run()
    prefix = f"trunk.main.{key.conversation}.{key.run}.note.x.".encode()
    await publish_raw(server, b"PUB %s\xff 2\r\n{}\r\n" % prefix)
    for step, headers in enumerate([b"NATS/1.0", b"NATS/1.0 \xff\xfe\xff\r\n\r\n", b"NATS/1.0 204 EOB\r\n\r\n"]):
        await publish_raw(server, with_headers(b"%s%d" % (prefix, step), headers, b"no json"))
    await append(bus, key.step("note", "x", "good"), Note(what="w"))
    assert [event.subject.step for event in await fold(bus, key.everything)] == ["good"]


@pytest.mark.parametrize("status", ["204", "408", "413", "503"])
async def test_a_stored_status_header_does_not_end_a_fold(bus: Bus, status: str) -> None:
    key = a_run()
    planted = key.step("note", "x", "planted")
    await bus.mailbox.request(str(planted), b'{"what":"x"}', headers={"Status": status})
    await append(bus, key.step("note", "x", "1"), Note(what="w"))
    assert len(await fold(bus, key.everything)) == 2
    assert (await recorded(bus, str(planted))) is not None


async def test_a_fold_larger_than_the_server_sends_at_once_is_complete(bus: Bus) -> None:
    key = a_run()
    body = b'{"what":"%s"}' % (b"w" * 950_000)
    for step in range(72):
        await bus.mailbox.request(str(key.step("note", "x", str(step))), body)
    assert len(await fold(bus, key.everything)) == 72
