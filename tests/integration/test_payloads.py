"""Payloads that stand apart: read while others write them, and planted ones harm nobody."""

from __future__ import annotations

import asyncio
import base64
import hashlib

import orjson
import pytest

from trunkline.bus import Bus, append, fold
from trunkline.bus.objects import BUCKET, LARGEST, offload, resolve
from trunkline.contracts.errors import BadMessage, BusUnavailable
from trunkline.contracts.ids import new_run_id
from trunkline.contracts.messages import Note
from trunkline.contracts.subjects import RunKey
from trunkline.host.server import EmbeddedServer

RAW = b"x" * 300_000
SHA256 = hashlib.sha256(RAW).hexdigest()
DIGEST = f"SHA-256={base64.urlsafe_b64encode(hashlib.sha256(RAW).digest()).decode()}"


def reference(sha256: str = SHA256, size: int = len(RAW)) -> bytes:
    return orjson.dumps({"payload": {"sha256": sha256, "size": size}})


async def plant(bus: Bus, description: object) -> None:
    name = base64.urlsafe_b64encode(SHA256.encode()).decode()
    await bus.mailbox.request(f"$O.{BUCKET}.M.{name}", orjson.dumps(description), headers={"Nats-Rollup": "sub"})


async def stored_messages(bus: Bus) -> int:
    count: int = (await bus.api(f"STREAM.INFO.OBJ_{BUCKET}"))["state"]["last_seq"]
    return count


async def test_a_payload_that_is_stored_is_not_put_again(bus: Bus) -> None:
    first = await offload(bus, RAW)
    before = await stored_messages(bus)
    assert await offload(bus, RAW) == first == reference()
    assert await stored_messages(bus) == before
    assert await resolve(bus, first) == RAW


async def test_a_payload_of_many_chunks_is_read_whole(bus: Bus) -> None:
    raw = bytes(range(256)) * 20_000
    assert await resolve(bus, await offload(bus, raw)) == raw


async def test_reading_does_not_hang_while_somebody_puts_the_same_bytes(bus: Bus, server: EmbeddedServer) -> None:
    """Another client of the object store replaces the chunks at every put."""
    await offload(bus, RAW)
    async with Bus.open(server.url) as other:
        store = await other.client.jetstream().object_store(BUCKET)

        async def keep_putting() -> None:
            while True:
                await store.put(SHA256, RAW)
                await asyncio.sleep(0.02)

        putting = asyncio.create_task(keep_putting())
        try:
            async with asyncio.timeout(20):
                for _ in range(100):
                    assert await resolve(bus, reference()) == RAW
        finally:
            putting.cancel()
            await asyncio.gather(putting, return_exceptions=True)


DESCRIPTION = {"name": SHA256, "nuid": "absent", "size": len(RAW), "chunks": 3, "digest": DIGEST}


@pytest.mark.parametrize(
    "planted",
    [
        None,
        "no description",
        DESCRIPTION,
        DESCRIPTION | {"nuid": ">"},
        DESCRIPTION | {"size": 7},
        DESCRIPTION | {"digest": "SHA-256=odd"},
        DESCRIPTION | {"deleted": True},
        {"name": SHA256, "options": {"link": {"bucket": "elsewhere", "name": "x"}}},
    ],
)
async def test_a_reference_that_leads_nowhere_is_left_out_of_a_fold(bus: Bus, planted: object) -> None:
    key = RunKey.checked(new_run_id(), "c")
    await append(bus, key.step("note", "test", "1"), Note(what="readable"))
    await bus.mailbox.request(str(key.step("note", "test", "2")), reference())
    if planted is not None:
        await plant(bus, planted)
    async with asyncio.timeout(30):
        with pytest.raises(BadMessage):
            await resolve(bus, reference())
        assert [event.subject.step for event in await fold(bus, key.everything)] == ["1"]


@pytest.mark.parametrize("planted", ["no description", DESCRIPTION | {"size": 7}])
async def test_a_wrong_description_is_told_from_the_payload(bus: Bus, planted: object) -> None:
    await offload(bus, RAW)
    await plant(bus, planted)
    with pytest.raises(BadMessage, match="stored as something else"):
        await resolve(bus, reference())


@pytest.mark.parametrize(
    "raw", [reference(size=LARGEST + 1), reference(size=-1), reference(sha256="../x"), reference(sha256="A" * 64)]
)
async def test_an_address_that_cannot_be_one_is_not_looked_up(bus: Bus, raw: bytes) -> None:
    with pytest.raises(BadMessage, match="cannot be one"):
        await resolve(bus, raw)


async def test_a_body_beyond_all_measure_is_refused(bus: Bus) -> None:
    with pytest.raises(BadMessage, match="too large"):
        await offload(bus, b"x" * (LARGEST + 1))


async def test_a_store_that_is_away_is_no_fault_of_the_message(bus: Bus) -> None:
    await bus.api(f"STREAM.DELETE.OBJ_{BUCKET}")
    with pytest.raises(BusUnavailable):
        await resolve(bus, reference())
    with pytest.raises(BusUnavailable):
        await offload(bus, RAW)
