"""Law 4 as pure functions: which message answers for a run, and who may open the next attempt."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from trunkline.contracts.codec import Event
from trunkline.contracts.errors import Superseded
from trunkline.contracts.ids import new_run_id
from trunkline.contracts.messages import Answer, Call, Fact, Failure, Prompt, Request, Result, Task, Turn
from trunkline.contracts.subjects import Kind, RunKey
from trunkline.run.state import carrier, next_attempt, state_of, turn_number

KEY = RunKey.checked(new_run_id(), "c")


def event(sequence: int, kind: Kind, name: str, step: str, fact: Fact, key: RunKey = KEY) -> Event:
    return Event(key.step(kind, name, step), sequence, datetime.now(UTC), fact, b"")


ASKED = event(1, "request", "router", "0", Request(text="q"))
TASK = event(2, "task", "a", "0", Task())


def a_result(sequence: int, step: str, number: int, of: int) -> Event:
    return event(sequence, "result", "a", step, Result(tool="t", turn=Turn(number=number, of=of)))


def test_the_task_carries_the_first_turn() -> None:
    state = state_of(KEY, [ASKED, TASK])
    assert carrier(state) == 2
    assert turn_number(state) == 1


def test_a_turn_that_is_not_complete_is_still_answered_for_by_its_own_carrier() -> None:
    call = event(3, "call", "t", "2", Call(agent="a", turn=Turn(number=1, of=2)))
    state = state_of(KEY, [ASKED, TASK, call, a_result(4, "2", 1, 2)])
    assert carrier(state) == 2
    assert turn_number(state) == 1


def test_the_last_result_of_a_turn_carries_the_next_one() -> None:
    state = state_of(KEY, [ASKED, TASK, a_result(7, "3", 1, 2), a_result(6, "2", 1, 2)])
    assert carrier(state) == 7
    assert turn_number(state) == 2


def test_each_turn_counts_only_its_own_results() -> None:
    state = state_of(KEY, [ASKED, TASK, a_result(5, "2", 1, 1), a_result(8, "4", 2, 3)])
    assert carrier(state) == 5
    assert turn_number(state) == 2


def test_the_first_attempt_is_open_to_whoever_holds_the_carrier() -> None:
    assert next_attempt([], sequence=2, delivery=1) == 1


def an_attempt(number: int, delivery: int, carried_by: int = 2) -> Prompt:
    return Prompt(model="m", input_hash="h", attempt=number, carrier=carried_by, delivery=delivery)


def test_a_later_delivery_of_the_same_message_may_open_the_next_attempt() -> None:
    assert next_attempt([an_attempt(1, 1)], sequence=2, delivery=2) == 2
    assert next_attempt([an_attempt(2, 3), an_attempt(1, 1)], sequence=2, delivery=4) == 3


@pytest.mark.parametrize(("delivery", "sequence"), [(1, 2), (2, 2), (9, 3)])
def test_nobody_else_may(delivery: int, sequence: int) -> None:
    """The same delivery, an older one, or the holder of another message."""
    with pytest.raises(Superseded):
        next_attempt([an_attempt(1, 2)], sequence=sequence, delivery=delivery)


def test_earlier_exchanges_are_those_answered_before_the_task_was_written() -> None:
    """A question may wait for an earlier one: it is asked before that one's answer, and its task comes after it."""
    earlier, later = RunKey.checked(new_run_id(), "c"), RunKey.checked(new_run_id(), "c")
    failed = RunKey.checked(new_run_id(), "c")
    events = [
        event(1, "request", "router", "0", Request(text="one"), earlier),
        event(2, "request", "router", "0", Request(text="bad"), failed),
        event(3, "answer", "client", "0", Answer(error=Failure(code="x", message="m")), failed),
        event(4, "request", "router", "0", Request(text="two")),
        event(5, "answer", "client", "0", Answer(text="first"), earlier),
        event(6, "request", "router", "0", Request(text="three"), later),
        event(7, "task", "plain", "0", Task()),
        event(8, "answer", "client", "0", Answer(text="third"), later),
    ]
    assert state_of(KEY, events).exchanges == [("one", "first", earlier.run)]
