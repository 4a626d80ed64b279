"""What is parked is kept, once, before the message is let go of."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.conftest import wait_until
from trunkline.bus import Bus, Lease, LeaseLoop, StoredMessage
from trunkline.bus.consumers import Consumer
from trunkline.bus.dead import WHOLE_LIMIT, DeadLetter, Tell, parking
from trunkline.contracts.codec import decode
from trunkline.contracts.errors import BadMessage, BusUnavailable, InvalidName
from trunkline.contracts.ids import new_run_id
from trunkline.contracts.messages import Failure
from trunkline.contracts.subjects import TRUNK, RunKey

CONSUMER = Consumer(TRUNK, "w", ("trunk.*.*.*.note.w.*",), ack_wait=1.0)


def a_subject() -> str:
    return str(RunKey.checked(new_run_id(), "c").step("note", "w"))


async def letters(bus: Bus) -> list[DeadLetter]:
    last = (await bus.api("STREAM.INFO.OPS"))["state"]["last_seq"]
    messages = [await bus.api("STREAM.MSG.GET.OPS", {"seq": sequence}) for sequence in range(1, last + 1)]
    return [decode(base64.b64decode(found["message"]["data"]), DeadLetter) for found in messages]


async def unacknowledged(bus: Bus) -> int:
    info = await bus.api("CONSUMER.INFO.TRUNK.w")
    left: int = info["num_ack_pending"] + info["num_pending"]
    return left


@contextlib.asynccontextmanager
async def refusing(bus: Bus, tell: Tell | None = None) -> AsyncIterator[None]:
    async def refuse(_lease: Lease) -> None:
        raise BadMessage("no good.")

    async with LeaseLoop(bus, CONSUMER, refuse, park=parking(bus, "test", tell)).running():
        yield


async def settled(bus: Bus) -> None:
    async def nothing_left() -> bool:
        return await unacknowledged(bus) == 0

    await wait_until(nothing_left, "the message is let go of")


@pytest.mark.parametrize("size", [0, 10, WHOLE_LIMIT])
async def test_a_message_is_parked_whole(bus: Bus, size: int) -> None:
    raw = b"\xff" * size
    await bus.mailbox.request(a_subject(), raw)
    async with refusing(bus):
        await settled(bus)
    (letter,) = await letters(bus)
    assert base64.b64decode(letter.data) == raw
    assert (letter.size, letter.where) == (size, "")


async def test_of_a_message_that_no_letter_holds_it_says_where_it_is(bus: Bus) -> None:
    subject = a_subject()
    await bus.mailbox.request(subject, b"\xff" * 990_000)
    async with refusing(bus):
        await settled(bus)
    (letter,) = await letters(bus)
    assert (letter.size, letter.data, letter.where) == (990_000, "", f"message 1, {subject}")


async def test_a_letter_that_is_refused_keeps_the_message(bus: Bus) -> None:
    config = (await bus.api("STREAM.INFO.OPS"))["config"]
    await bus.api("STREAM.UPDATE.OPS", config | {"max_bytes": 1, "discard": "new"})
    await bus.mailbox.request(a_subject(), b"poison")
    tried: list[BaseException] = []
    park = parking(bus, "test")

    async def refuse(_lease: Lease) -> None:
        raise BadMessage("no good.")

    async def watched(lease: Lease, error: Exception) -> None:
        try:
            await park(lease, error)
        except BusUnavailable as refused:
            tried.append(refused)
            raise

    async with LeaseLoop(bus, CONSUMER, refuse, park=watched).running():
        await wait_until(lambda: bool(tried), "the letter is refused")
        assert await unacknowledged(bus) == 1
        await bus.api("STREAM.UPDATE.OPS", config)
        await settled(bus)
    assert len(await letters(bus)) == 1


async def test_a_letter_is_kept_once_however_often_the_answer_fails(bus: Bus) -> None:
    told: list[str] = []

    async def tell(message: StoredMessage, _key: RunKey, _failure: Failure) -> None:
        told.append(message.subject)
        if len(told) < 3:
            raise BusUnavailable("not now.")

    await bus.mailbox.request(a_subject(), b"poison")
    async with refusing(bus, tell):
        await settled(bus)
    assert len(told) == 3
    assert [letter.delivery for letter in await letters(bus)] == [1]


async def test_letters_are_known_again_for_longer_than_a_message_is_delivered(bus: Bus) -> None:
    assert (await bus.api("STREAM.INFO.OPS"))["config"]["duplicate_window"] == 24 * 3600 * 1_000_000_000


async def test_a_run_that_cannot_be_told_does_not_bring_its_message_back(bus: Bus) -> None:
    told: list[str] = []

    async def tell(message: StoredMessage, _key: RunKey, _failure: Failure) -> None:
        told.append(message.subject)
        raise InvalidName("nobody's name.")

    await bus.mailbox.request(a_subject(), b"poison")
    async with refusing(bus, tell):
        await settled(bus)
    assert len(told) == 1


async def test_two_messages_have_two_letters(bus: Bus) -> None:
    for _ in range(2):
        await bus.mailbox.request(a_subject(), b"poison")
    async with refusing(bus):
        await settled(bus)
    assert len(await letters(bus)) == 2
