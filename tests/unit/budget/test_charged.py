"""What a call counts against its budgets, by what stands on the log."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from trunkline.budget import charged
from trunkline.budget.charged import evidence, holder
from trunkline.contracts.codec import Event
from trunkline.contracts.messages import Answer, Fact, Failure, Model, Note, Prompt
from trunkline.contracts.subjects import RunKey, Subject
from trunkline.prices import Money

KEY = RunKey.checked("r", "c")
CALL = KEY.step("prompt", "billing", "m1-2")
HELD = Money.parse("0.5")
OTHER = Money.parse("9")
"""What whoever asks believes to be held, where the log says better."""


def event(subject: Subject, fact: Fact) -> Event:
    return Event(subject, 1, datetime(2026, 11, 23, tzinfo=UTC), fact, b"")


def prompt(attempt: int = 2, reserved: str = "0.5") -> Event:
    fact = Prompt(model="m", input_hash="h", attempt=attempt, carrier=1, delivery=1, reserved=reserved)
    return event(KEY.step("prompt", "billing", f"m1-{attempt}"), fact)


def model(cost: str = "", attempt: int = 2, spent: bool | None = None) -> Event:
    error = None if spent is None else Failure(code="model_failed", message="It failed.", data={"spent": spent})
    fact = Model(model="m", input_hash="h", attempt=attempt, cost=cost, error=error)
    return event(KEY.step("model", "billing", "m1"), fact)


def note(what: str, attempt: int = 2, **data: object) -> Event:
    return event(KEY.step("note", "billing", f"{what}-m1-{attempt}"), Note(what=what, data=data))


ANSWER = event(KEY.step("answer", "client"), Answer(text="Done."))
CASES = {
    "nothing on the log": ([], "0"),
    "no prompt, though its run has ended": ([ANSWER], "0"),
    "no prompt, though another attempt came back": ([prompt(1), model("0.1", attempt=1)], "0"),
    "a prompt for which nothing was reserved": ([prompt(reserved="")], "0"),
    "under way": ([prompt()], None),
    "under way, and another agent's step of that name is not": (
        [prompt(), event(KEY.step("model", "other", "m1"), Model(model="m", input_hash="h", attempt=2, cost="0.1"))],
        None,
    ),
    "it came back": ([prompt(), model("0.123")], "0.123"),
    "it came back and its run has ended": ([prompt(), model("0.123"), ANSWER], "0.123"),
    "it cost more than was reserved": ([prompt(), model("0.7")], "0.7"),
    "it was free": ([prompt(), model("0")], "0"),
    "nobody knows what it cost": ([prompt(), model("")], "0.5"),
    "its cost cannot be read": ([prompt(), model("-1e9")], "0.5"),
    "it failed, and cost something": ([prompt(), model("0.2", spent=True)], "0.2"),
    "it failed, and may have cost something": ([prompt(), model(spent=True)], "0.5"),
    "it failed, and cost nothing": ([prompt(), model(spent=False)], "0"),
    "it failed, another follows, and it cost nothing": ([prompt(), note("retry", spent=False)], "0"),
    "it failed, another follows, and nobody knows": ([prompt(), note("retry", spent=True), prompt(3)], "0.5"),
    "it failed with a cost, and another came back": (
        [prompt(), note("retry", spent=True, cost="0.3"), prompt(3), model("0.1", attempt=3)],
        "0.3",
    ),
    "it came back when another had": (
        [prompt(), prompt(3), model("0.1", attempt=3), note("unused", cost="0.4")],
        "0.4",
    ),
    "another one's note": ([prompt(), note("retry", attempt=1, cost="0.3")], None),
    "somebody tried again": ([prompt(), prompt(3)], "0.5"),
    "an earlier attempt came back": ([prompt(), model("0.1", attempt=1)], "0.5"),
    "its run has ended without it": ([prompt(), ANSWER], "0.5"),
    "a prompt that cannot be read": ([event(CALL, Fact()), ANSWER], "9"),
}


@pytest.mark.parametrize(("events", "counts"), CASES.values(), ids=CASES.keys())
def test_a_call_counts_what_the_log_says(events: list[Event], counts: str | None) -> None:
    found = charged(CALL, events, OTHER)
    assert (None if found is None else str(found)) == counts


@pytest.mark.parametrize("events", [events for events, _ in CASES.values()], ids=CASES.keys())
def test_nothing_but_the_evidence_matters(events: list[Event]) -> None:
    """So that whoever fetches that alone decides as one who has read all."""
    asked = evidence(CALL)
    kept = [each for each in events if str(each.subject) in asked or each.subject.any_name in asked]
    assert charged(CALL, kept, OTHER) == charged(CALL, events, OTHER)


@pytest.mark.parametrize(
    ("outcome", "ended", "counts"),
    [(None, False, None), (None, True, "0.5"), ({"cost": "0.2"}, False, "0.2"), ({"spent": False}, False, "0")],
)
def test_the_routers_own_question_counts_by_its_notes(
    outcome: dict[str, object] | None, *, ended: bool, counts: str | None
) -> None:
    call = KEY.step("note", "router", "classify")
    events = [event(call, Note(what="classify", data={"reserved": "0.5"}))]
    if outcome is not None:
        events.append(event(KEY.step("note", "router", "classified"), Note(what="classified", data=outcome)))
    found = charged(call, events + [ANSWER] * ended, OTHER)
    assert (None if found is None else str(found)) == counts
    assert charged(call, events[1:] + [ANSWER] * ended, OTHER) == Money()


@pytest.mark.parametrize(
    ("fact", "hold"),
    [
        (Note(what="classify", data={"hold": "h"}), "h"),
        (Note(what="classify", data={"hold": ["h"]}), ""),
        (Note(what="classify", data={}), ""),
        (Fact(), ""),
    ],
)
def test_a_hold_is_named_by_words_alone(fact: Fact, hold: str) -> None:
    """What cannot be read names none: else all that was held would be taken for another's."""
    call = KEY.step("note", "router", "classify")
    assert holder(call, [ANSWER, event(call, fact)]) == hold


@pytest.mark.parametrize("call", [KEY.step("prompt", "a", "m1"), KEY.step("note", "a", "m1-2"), ANSWER.subject])
def test_what_is_no_calls_name_has_no_evidence(call: Subject) -> None:
    assert evidence(call) == ()
