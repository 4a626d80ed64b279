"""Dead letters at the terminal: listed, opened, asked again, dropped."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.integration.cli.conftest import BINARY, Trunkline
from tests.platform import Platform
from trunkline.bus import Bus, fold
from trunkline.bus.advisories import newest_advisories
from trunkline.bus.letters import newest_letters
from trunkline.client import Client
from trunkline.contracts.ids import new_run_id
from trunkline.contracts.messages import Note, Request
from trunkline.contracts.subjects import CLIENT, RunKey, run_anywhere

pytestmark = pytest.mark.timeout(240)
QUESTION = "What is the status of invoice 1042?"
PAID = "find_invoice returned invoice: 1042, amount_cents: 4990, status: paid."


async def parked(platform: Platform, subject: str, data: bytes) -> int:
    """The id of the letter that this message becomes."""
    found: list[int] = []
    async with Bus.open(platform.url) as bus:
        await bus.mailbox.request(subject, data)

        async def there() -> bool:
            letters = await newest_letters(bus, limit=50)
            found[:] = [letter.id for letter in letters if letter.letter.subject == subject]
            return bool(found)

        await wait_until(there, f"{subject} is parked")
    return found[0]


async def answered(platform: Platform, *, agent: str = "", user: str = "") -> RunKey:
    """A run that has its answer."""
    async with Bus.open(platform.url) as bus:
        reply = await Client(bus, user=user).ask(QUESTION, agent=agent)
    return RunKey.checked(reply.run, reply.conversation)


async def facts(platform: Platform, run: str) -> Sequence[Any]:
    async with Bus.open(platform.url) as bus:
        return [event.fact for event in await fold(bus, run_anywhere(run))]


def broken_result(key: RunKey) -> str:
    return str(key.step("result", "billing", "garbage"))


async def test_letters_are_listed_newest_first_with_their_run(platform: Platform, trunkline: Trunkline) -> None:
    key = RunKey.checked(new_run_id(), "talk")
    first = await parked(platform, str(key.step("request", "router")), b'{"text": 5}')
    second = await parked(platform, str(key.step("call", "find_invoice", "1")), b"no json")
    rows = trunkline("dead", "list", "--json").json
    assert [row["id"] for row in rows[:2]] == [second, first]
    assert [row["message"] for row in rows[:2]] == ["call find_invoice", "request"]
    assert {row["run"] for row in rows[:2]} == {key.run}
    assert (rows[0]["deliveries"], rows[0]["code"], rows[0]["conversation"]) == (1, "bad_message", "talk")
    assert {row["service"] for row in trunkline("dead", "list", "--service", "router", "--json").json} == {"router"}
    assert len(trunkline("dead", "list", "--limit", "1", "--json").json) == 1
    shown = trunkline("dead", "list").out
    assert key.run[:18] in shown
    assert "not a request message" in shown


async def test_a_letter_is_opened_as_text_or_as_a_dump(platform: Platform, trunkline: Trunkline) -> None:
    """Also when the message was too large for a letter, or a reference to a payload that is not there."""
    key = RunKey.checked(new_run_id(), "talk")
    text = await parked(platform, str(key.step("request", "router")), b'{"text": 5}')
    octets = await parked(platform, str(key.step("call", "find_invoice", "1")), b"\xff\x00ab")
    large = await parked(platform, str(key.step("call", "find_invoice", "2")), b"\xfe" * 300_000)
    lost = b'{"payload":{"sha256":"%s","size":70000}}' % (b"0" * 64)
    reference = await parked(platform, str(key.step("call", "find_invoice", "3")), lost)
    assert trunkline("dead", "show", str(text), "--json").json["text"] == '{"text": 5}'
    assert trunkline("dead", "show", str(octets), "--json").json["base64"] == "/wBhYg=="
    assert trunkline("dead", "show", str(reference), "--json").json["text"] == lost.decode()
    assert len(trunkline("dead", "show", str(large), "--json").json["base64"]) == 400_000
    assert trunkline("dead", "show", str(text)).out.endswith('\n{"text": 5}\n')
    assert "000000  ff 00 61 62" in trunkline("dead", "show", str(octets)).out
    assert "297,952 more bytes" in trunkline("dead", "show", str(large)).out


async def test_a_question_is_asked_again_in_its_conversation(platform: Platform, trunkline: Trunkline) -> None:
    """By whom and as what stands on the log of the run that had failed; the letter is gone."""
    key = await answered(platform, user="ada", agent="billing")
    letter = await parked(platform, broken_result(key), b"\xff")
    done = trunkline("dead", "requeue", str(letter), "--watch", "--json", USER="grace", LOGNAME="grace").json
    assert (done["requeued_from"], done["conversation"], done["dropped"]) == (key.run, key.conversation, True)
    assert done["answer"] == {"agent": "billing", "text": PAID, "error": None}
    (request,) = [fact for fact in await facts(platform, done["run"]) if isinstance(fact, Request)]
    assert (request.text, request.user, request.agent) == (QUESTION, "ada", "billing")
    assert request.metadata == {"requeued_from": key.run}
    (note,) = [fact for fact in await facts(platform, key.run) if isinstance(fact, Note)]
    assert (note.what, note.data) == ("requeued", {"letter": letter, "by": "grace", "run": done["run"]})
    assert trunkline("dead", "show", str(letter)).code == 2


async def test_what_an_agent_asked_for_is_asked_again_by_the_user(platform: Platform, trunkline: Trunkline) -> None:
    """The letter is of a delegated run; the question is the one that led to it."""
    key = await answered(platform, agent="desk")
    (child,) = {fact.run for fact in await facts(platform, key.run) if getattr(fact, "run", "")}
    letter = await parked(platform, broken_result(RunKey.checked(child, key.conversation)), b"\xff")
    done = trunkline("dead", "requeue", str(letter), "--watch", "--json").json
    assert (done["requeued_from"], done["answer"]["agent"]) == (child, "desk")


async def test_garbage_is_asked_again_with_words_that_somebody_gives(platform: Platform, trunkline: Trunkline) -> None:
    key = RunKey.checked(new_run_id(), "talk-of-garbage")
    letter = await parked(platform, str(key.step("request", "router")), b"\xff")
    refused = trunkline("dead", "requeue", str(letter))
    assert refused.code == 2
    assert f"no readable request of run {key.run}" in refused.err
    assert "--text" in refused.err
    assert "The question is empty" in trunkline("dead", "requeue", str(letter), "--text", " ").err
    done = trunkline("dead", "requeue", str(letter), "--text", QUESTION, "--watch", "--keep")
    assert (done.code, done.out.splitlines()[-1]) == (0, PAID)
    assert key.conversation in done.out
    assert trunkline("dead", "show", str(letter)).code == 0


async def test_a_new_run_that_fails_ends_the_command_as_ask_does(platform: Platform, trunkline: Trunkline) -> None:
    async with Bus.open(platform.url) as bus:
        key = RunKey.checked(new_run_id(), "talk")
        client = Client(bus)
        async for _ in client.stream("Fail", agent="broken", run=key.run, conversation=key.conversation):
            pass
    letter = await parked(platform, str(key.step("result", "broken", "garbage")), b"\xff")
    ended = trunkline("dead", "requeue", str(letter), "--watch")
    assert (ended.code, "this flow is wrong" in ended.err) == (1, True)


async def test_letters_are_dropped_by_id_or_all_of_a_service(platform: Platform, trunkline: Trunkline) -> None:
    """None of them when one is not there; and of all of them, only when somebody says yes."""
    key = RunKey.checked(new_run_id(), "talk")
    mine = [await parked(platform, str(key.step("call", "find_invoice", step)), b"\xff") for step in "12"]
    other = await parked(platform, str(key.step("request", "router")), b"\xff")
    unknown = trunkline("dead", "drop", str(mine[0]), "99999")
    assert (unknown.code, "There is no dead letter 99999" in unknown.err) == (2, True)
    assert trunkline("dead", "drop", str(mine[0]), "--json").json == {"dropped": [mine[0]]}
    notes = [fact for fact in await facts(platform, key.run) if isinstance(fact, Note)]
    assert [note.what for note in notes] == ["letter_dropped"]
    assert trunkline("dead", "drop", "--all", "--service", "tools").code == 2
    assert "n\r\n" in await asyncio.to_thread(typed, platform, "n\n", "dead", "drop", "--all", "--service", "tools")
    left = trunkline("dead", "list", "--json").json
    assert {mine[1], other} <= {row["id"] for row in left}
    assert mine[1] in trunkline("dead", "drop", "--all", "--service", "tools", "--yes", "--json").json["dropped"]
    left = trunkline("dead", "list", "--json").json
    assert "tools" not in {row["service"] for row in left}
    assert other in {row["id"] for row in left}
    assert trunkline("dead", "drop").code == 2
    assert trunkline("dead", "drop", "1", "--service", "router").code == 2


def typed(platform: Platform, keys: str, *words: str) -> str:
    """What a terminal shows of a command that somebody answers."""
    ours, theirs = pty.openpty()
    command = subprocess.Popen([str(BINARY), *words], env=platform.env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, keys.encode())
    shown = b""
    try:
        while data := os.read(ours, 4096):
            shown += data
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
        command.wait(20)
    assert command.returncode == 1
    return shown.decode()


async def test_what_the_server_gave_up_is_shown_with_its_message(platform: Platform, trunkline: Trunkline) -> None:
    """Another program's consumer, on our log; what was parked has its letter, and is not shown twice."""
    key = await answered(platform, agent="billing")
    await parked(platform, broken_result(key), b"\xff")
    async with Bus.open(platform.url) as bus:
        config = {
            "durable_name": "foreign",
            "ack_policy": "explicit",
            "filter_subjects": [str(key.step("answer", CLIENT))],
            "max_deliver": 1,
            "ack_wait": 50_000_000,
        }
        create = {"stream_name": "TRUNK", "config": config, "action": "create"}
        await bus.api("CONSUMER.CREATE.TRUNK.foreign", create)
        inbox = await bus.client.subscribe(bus.client.new_inbox())
        pull = b'{"batch":2,"expires":30000000000}'
        await bus.client.publish("$JS.API.CONSUMER.MSG.NEXT.TRUNK.foreign", pull, reply=inbox.subject)
        await inbox.next_msg(timeout=30)

        async def told() -> bool:
            return bool(await newest_advisories(bus, 1))

        await wait_until(told, "the server speaks of it")
        await bus.api("CONSUMER.DELETE.TRUNK.foreign")
    (advisory,) = trunkline("dead", "list", "--advisories", "--json").json
    assert (advisory["kind"], advisory["consumer"], advisory["deliveries"]) == ("given up", "foreign", 1)
    assert (advisory["run"], PAID in advisory["text"]) == (key.run, True)
    assert "given up" in trunkline("dead", "list", "--advisories").out
    assert "trunkline dead list --advisories" in trunkline("dead", "list").err


def test_unknown_letters_and_services_are_said(trunkline: Trunkline) -> None:
    assert trunkline("dead", "show", "99999", "--json").json["error"]["code"] == "not_found"
    assert "trunkline dead list" in trunkline("dead", "requeue", "99999").err
    assert trunkline("dead", "list", "--service", "a b").code == 2
    assert trunkline("dead", "list", "--service", "nobody", "--json").json == []
