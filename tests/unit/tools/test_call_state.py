"""What is to be done about a call follows from the log alone."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from trunkline.bus import append
from trunkline.contracts.codec import Event
from trunkline.contracts.messages import Answer, Approval, Call, Cancel, Decision, Fact, Failure, Note, Result, Started
from trunkline.contracts.registry import ToolCard
from trunkline.contracts.subjects import Kind, RunKey
from trunkline_tools.call_state import Action, AskFirst, Finish, Leave, Resolve, Run, next_action, state_of
from trunkline_tools.executor import BEGIN_SECONDS

KEY = RunKey.checked("r", "c")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HASH = "of the arguments"
CALL = Call(agent="clerk")
ASKED = Approval(arguments={}, arguments_hash=HASH, expires=NOW + timedelta(hours=1))
STARTED = Started(executor="e", delivery=1)
CHARGE = ToolCard(tool="charge", executor="e", effect="write")


def event(sequence: int, kind: Kind, name: str, step: str, fact: Fact) -> Event:
    return Event(KEY.step(kind, name, step), sequence, NOW, fact, b"")


def verdict(said: Any, **how: Any) -> Decision:
    return Decision(verdict=said, by="ada", arguments_hash=HASH, **how)


def action(*events: Event, card: ToolCard = CHARGE, holding: int = 1, after: timedelta = timedelta(0)) -> Action:
    called = event(1, "call", "charge", "1", CALL)
    state = state_of(called, CALL, [called, *events])
    return next_action(card, state, holding=holding, digest=HASH, now=NOW + after)


def failed(found: Action) -> str:
    assert isinstance(found, Finish)
    assert isinstance(found.error, Failure)
    return found.error.code


BEGUN = event(2, "started", "charge", "1-1", STARTED)
DOUBT = event(3, "approval", "charge", "doubt-1-1", Approval(arguments={}, arguments_hash=HASH, reason="in_doubt"))


def test_a_call_of_which_nothing_is_known_is_run() -> None:
    assert action() == Run(1)


def test_what_was_begun_is_in_doubt_unless_it_may_be_repeated() -> None:
    assert action(BEGUN) == Resolve(1)
    assert action(BEGUN, card=ToolCard(tool="charge", executor="e", effect="write", idempotent=True)) == Run(1)


def test_once_a_person_is_asked_the_message_that_asked_has_nothing_to_do() -> None:
    assert action(BEGUN, DOUBT) == Leave()


@pytest.mark.parametrize("said", ["done", "not_done", "retry"])
def test_the_newest_decision_answers_for_the_call_and_nothing_older_does(said: str) -> None:
    decided = event(4, "decision", "charge", "doubt-1-1", verdict(said))
    assert action(BEGUN, DOUBT, decided, holding=1) == Leave()
    found = action(BEGUN, DOUBT, decided, holding=4)
    assert found == Run(2) if said == "retry" else isinstance(found, Finish)


def test_the_second_attempt_may_be_in_doubt_as_the_first_was() -> None:
    again = (
        event(4, "decision", "charge", "doubt-1-1", verdict("retry")),
        event(5, "started", "charge", "1-2", STARTED),
    )
    assert action(BEGUN, DOUBT, *again, holding=4) == Resolve(2)


def test_a_verdict_of_another_attempt_or_call_or_tool_says_nothing() -> None:
    others = [
        event(4, "decision", "charge", "doubt-1-2", verdict("retry")),
        event(5, "decision", "charge", "doubt-2-1", verdict("retry")),
        event(6, "decision", "refund", "doubt-1-1", verdict("retry")),
        event(7, "decision", "charge", "1", verdict("approved")),
    ]
    assert action(BEGUN, DOUBT, *others) == Leave()


def test_a_result_ends_it() -> None:
    assert action(BEGUN, event(3, "result", "clerk", "1", Result(value=1))) == Leave()
    assert action(BEGUN, event(3, "result", "clerk", "2", Result(value=1))) == Resolve(1)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (event(2, "cancel", "all", "0", Cancel(by="ada")), "cancelled"),
        (event(2, "answer", "client", "0", Answer(text="x")), "run_ended"),
    ],
)
def test_nothing_is_begun_for_a_run_that_has_ended(end: Event, code: str) -> None:
    asking = ToolCard(tool="charge", executor="e", effect="write", approve=True)
    assert failed(action(end)) == failed(action(end, card=asking)) == code
    begun = event(3, "started", "charge", "1-1", STARTED)
    assert action(end, begun) == Resolve(1)
    asked = event(4, "approval", "charge", "doubt-1-1", DOUBT.fact)
    retry = event(5, "decision", "charge", "doubt-1-1", verdict("retry"))
    assert failed(action(end, begun, asked, retry, holding=5)) == code


def test_a_deadline_says_how_long_the_call_waited() -> None:
    late = Call(agent="clerk", deadline=NOW + timedelta(seconds=5))
    state = state_of(event(1, "call", "charge", "1", late), late)
    found = next_action(CHARGE, state, holding=1, digest=HASH, now=NOW + timedelta(seconds=7))
    assert failed(found) == "deadline_passed"
    assert isinstance(found, Finish)
    assert found.error is not None
    assert "waited 7.0 s" in found.error.message
    in_time = next_action(CHARGE, state, holding=1, digest=HASH, now=NOW + timedelta(seconds=3))
    assert in_time == Run(1)


ASKING = ToolCard(tool="charge", executor="e", effect="write", approve=True)
ASK = event(2, "approval", "charge", "1", ASKED)


@pytest.mark.parametrize(
    ("decision", "after", "code"),
    [
        (verdict("approved"), 0, ""),
        (verdict("denied"), 0, "denied"),
        (verdict("retry"), 0, "not_approved"),
        (Decision(verdict="approved", by="ada", arguments_hash="other"), 0, "not_approved"),
        (verdict("approved", until=NOW + timedelta(minutes=1)), 30, ""),
        (verdict("approved", until=NOW + timedelta(minutes=1)), 90, "approval_expired"),
    ],
)
def test_only_an_approval_of_this_call_lets_it_run(decision: Decision, after: int, code: str) -> None:
    assert action(card=ASKING) == action(ASK, card=ASKING) == AskFirst()
    decided = event(3, "decision", "charge", "1", decision)
    found = action(ASK, decided, card=ASKING, holding=3, after=timedelta(seconds=after))
    assert (failed(found) if code else found) == (code or Run(1))
    assert action(ASK, decided, card=ASKING, holding=1) == Leave()


def test_failed_tries_are_counted_from_their_notes() -> None:
    called = event(1, "call", "charge", "1", CALL)
    notes = [
        event(2, "note", "tools", "retry-1-1", Note(what="retry")),
        event(3, "note", "tools", "retry-1-2", Note(what="retry")),
        event(4, "note", "tools", "retry-2-7", Note(what="retry")),
        event(5, "note", "clerk", "retry-1-9", Note(what="retry")),
        event(6, "note", "tools", "retry-1-x", Note(what="retry")),
    ]
    assert state_of(called, CALL, notes).tries == 2


@pytest.mark.parametrize(("said", "expected"), [("approved", Run(1)), ("denied", "denied")])
def test_what_was_asked_counts_also_where_newer_code_would_not_ask(said: str, expected: Action | str) -> None:
    asked = event(2, "approval", "charge", "1", ASKED)
    found = action(asked, event(3, "decision", "charge", "1", verdict(said)), card=CHARGE, holding=3)
    assert not CHARGE.approve
    assert (failed(found) if isinstance(found, Finish) else found) == expected


def test_an_attempt_may_begin_after_an_acknowledgement_that_had_to_be_asked_for_again() -> None:
    assert 2 * inspect.signature(append).parameters["attempt_wait"].default < BEGIN_SECONDS
