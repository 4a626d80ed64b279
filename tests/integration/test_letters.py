"""Finding letters and advisories in their streams; timers that are set off again."""

from __future__ import annotations

from base64 import b64encode

import pytest

from tests.conftest import wait_until
from trunkline.bus import Bus, Lease, LeaseLoop, append, fold
from trunkline.bus.advisories import ADVISORIES, newest_advisories
from trunkline.bus.consumers import Consumer
from trunkline.bus.dead import DeadLetter, parking
from trunkline.bus.letters import Letter, contents, drop, letters, newest_letters
from trunkline.bus.newest import FIRST_LOOK, PAGE
from trunkline.bus.streams import stream_info
from trunkline.cli.asking_again import ask_again
from trunkline.contracts.codec import encode
from trunkline.contracts.errors import BadMessage, InvalidQuestion
from trunkline.contracts.ids import new_run_id
from trunkline.contracts.messages import Call, Note, Request, Result
from trunkline.contracts.subjects import OPS, TIMER, TRUNK, RunKey, dead, timer_due
from trunkline_tools.timekeeper import keeping_time


async def a_letter(
    bus: Bus, service: str = "a", *, subject: str = "trunk.x", data: str = "", reason: str = "no", where: str = ""
) -> None:
    letter = DeadLetter(
        service=service,
        subject=subject,
        sequence=1,
        delivery=1,
        code="bad_message",
        reason=reason,
        size=0,
        data=data,
        where=where,
    )
    await bus.mailbox.request(dead(service), encode(letter))


async def test_the_newest_letters_are_found_behind_those_that_were_dropped(bus: Bus) -> None:
    """However far back they stand: pages end, and looks go further."""
    for number in range(PAGE + 20):
        await a_letter(bus, "old", reason=str(number))
    for _ in range(FIRST_LOOK + PAGE):
        await a_letter(bus, "gone")
    async for letter in letters(bus, service="gone"):
        assert await drop(bus, letter)
    await a_letter(bus, "new")
    found = await newest_letters(bus, limit=4)
    assert [each.letter.service for each in found] == ["new", "old", "old", "old"]
    assert [each.letter.reason for each in found[1:]] == [str(PAGE + 20 - back) for back in (1, 2, 3)]
    assert len(await newest_letters(bus, service="old", limit=1000)) == PAGE + 20
    assert await newest_letters(bus, service="gone", limit=1) == []


async def test_what_is_no_letter_is_passed_over(bus: Bus) -> None:
    await a_letter(bus)
    await bus.mailbox.request(dead("a"), b"somebody's own words")
    assert [each.id for each in await newest_letters(bus, limit=5)] == [1]
    assert [each.id async for each in letters(bus)] == [1]


async def test_a_letter_is_dropped_once(bus: Bus) -> None:
    await a_letter(bus)
    (letter,) = await newest_letters(bus, limit=1)
    assert await drop(bus, letter)
    assert not await drop(bus, letter)


async def test_contents_that_are_gone_are_none(bus: Bus) -> None:
    """A large message that is not where the letter says, or says something else there; and base64 that is none."""
    await append(bus, RunKey.checked(new_run_id(), "c").step("note", "test"), Note(what="another"))
    await a_letter(bus, where="message 1, trunk.x")
    await a_letter(bus, data="?")
    assert [await contents(bus, each.letter) for each in await newest_letters(bus, limit=2)] == [None, None]


async def test_of_what_is_parked_the_server_says_nothing_more(bus: Bus) -> None:
    """Its advisory is left out, for there is a letter; that of a message without a letter is shown."""

    async def refuse(_lease: Lease) -> None:
        raise BadMessage("no good.")

    async def said() -> bool:
        return (await stream_info(bus, ADVISORIES)).messages > 0

    await bus.mailbox.request(str(RunKey.checked(new_run_id(), "c").step("note", "w")), b"poison")
    consumer = Consumer(TRUNK, "w", ("trunk.*.*.*.note.w.*",))
    async with LeaseLoop(bus, consumer, refuse, park=parking(bus, "test")).running():
        await wait_until(said, "the server speaks of it")
    assert await newest_advisories(bus, 10) == []
    advisory = b'{"stream":"TRUNK","consumer":"w","stream_seq":%d,"deliveries":3,"reason":"not for us"}'
    for sequence in (1, 77):
        await bus.client.publish("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.TRUNK.w", advisory % sequence)

    async def both() -> bool:
        return (await stream_info(bus, ADVISORIES)).messages == 3

    await wait_until(both, "both are kept")
    gone, there = await newest_advisories(bus, 10)
    assert (gone.sequence, gone.message) == (77, None)
    assert (there.kind, there.reason, there.deliveries) == ("terminated", "not for us", 3)
    assert there.message is not None
    assert there.message.data == b"poison"
    assert len(await newest_advisories(bus, 1)) == 1


async def timer_letter(bus: Bus, key: RunKey, data: bytes) -> Letter:
    """As the timekeeper parks what it cannot wake."""
    await a_letter(bus, "timers", subject=timer_due(key, "billing", "1"), data=b64encode(data).decode())
    return (await newest_letters(bus, limit=1))[0]


async def test_a_timer_is_set_off_again(bus: Bus) -> None:
    """Where it came from: the run that sleeps is woken, and no new one is asked for."""
    key = RunKey.checked(new_run_id(), "c")
    letter = await timer_letter(bus, key, encode(Call(agent="billing", arguments={"seconds": 1})))
    async with keeping_time(bus):
        done = await ask_again(bus, letter)
        assert (done.origin, done.run) == (key, None)

        async def woken() -> bool:
            return any(isinstance(event.fact, Result) for event in await fold(bus, key.everything))

        await wait_until(woken, "the run is woken")
    events = await fold(bus, key.everything)
    assert {event.fact.tool for event in events if isinstance(event.fact, Result)} == {TIMER}
    assert [event.fact.what for event in events if isinstance(event.fact, Note)] == ["timer_set_off"]


async def test_a_timer_that_cannot_be_read_is_asked_again_as_its_question(bus: Bus) -> None:
    key = RunKey.checked(new_run_id(), "c")
    letter = await timer_letter(bus, key, b"no timer")
    with pytest.raises(InvalidQuestion, match=f"no readable request of run {key.run}"):
        await ask_again(bus, letter)
    await append(bus, key.step("request", "router"), Request(text="What?", user="ada", first=True))
    done = await ask_again(bus, letter)
    assert done.run is not None
    (event,) = await fold(bus, done.run.everything)
    assert isinstance(event.fact, Request)
    assert (event.fact.text, event.fact.user, event.fact.first) == ("What?", "ada", False)


async def test_a_letter_of_no_run_begins_a_conversation(bus: Bus) -> None:
    await a_letter(bus, subject="trunk.x")
    (letter,) = await newest_letters(bus, limit=1)
    with pytest.raises(InvalidQuestion, match=r"'trunk\.x' names no run"):
        await ask_again(bus, letter)
    done = await ask_again(bus, letter, "What?")
    assert done.run is not None
    (event,) = await fold(bus, done.run.everything)
    assert isinstance(event.fact, Request)
    assert (event.fact.text, event.fact.first, event.fact.metadata) == ("What?", True, {})
    assert (await stream_info(bus, OPS)).messages == 1


async def test_runs_that_claim_each_other_as_parent_end_the_search(bus: Bus) -> None:
    """Nobody's honest log has such a circle."""
    ours, theirs = RunKey.checked("ours", "c"), RunKey.checked("theirs", "c")
    for child, parent in ((ours, "theirs"), (theirs, "ours")):
        task = b'{"parent": {"run": "%s", "agent": "a", "step": "1"}}' % parent.encode()
        await bus.mailbox.request(str(child.step("task", "billing")), task)
    await a_letter(bus, subject=str(ours.step("result", "billing", "1")))
    (letter,) = await newest_letters(bus, limit=1)
    with pytest.raises(InvalidQuestion, match="no readable request"):
        await ask_again(bus, letter)
