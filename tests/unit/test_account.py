"""What a run's answer says of the run: its exact cost, and whether it may be given again."""

from __future__ import annotations

import pytest

from trunkline.contracts.messages import Answer, Call, Failure, Model, Note, Prompt, Result
from trunkline.contracts.subjects import RunKey
from trunkline.run.account import accounted, cost_of
from trunkline.run.state import RunState

FAILED = Failure(code="model_failed", message="It failed.")


def state() -> RunState:
    """A run that asked a model twice, a tool and another agent."""
    found = RunState(RunKey.checked("r", "c"))
    found.models = {step: Model(model="m", input_hash="", cost="0.1") for step in ("1", "3")}
    found.calls = {"2": Call(agent="a")}
    found.results = {
        "2": (5, Result(tool="lookup", value=1)),
        "4": (6, Result(run="child", agent="b", value="x", cost="0.02", reusable=True)),
    }
    return found


def reusable(found: RunState, answer: Answer | None = None) -> bool:
    return accounted(found, answer or Answer(text="!"), lambda name: name in ("lookup", "ask.b")).reusable


def test_what_models_lasting_tools_and_such_agents_said_may_be_told_again() -> None:
    assert reusable(state())


def test_that_another_model_took_over_is_no_reason_against_it() -> None:
    found = state()
    found.notes["a", "retry-1-1"] = Note(what="fallback", data={"model": "m", "next": "n"})
    assert reusable(found)


@pytest.mark.parametrize(
    "result",
    [
        Result(tool="clock", value=1),
        Result(tool="timer"),
        Result(tool="lookup", error=FAILED),
        Result(run="child", agent="b", value="x"),
        Result(run="child", agent="b", reusable=True, error=FAILED),
        Result(error=FAILED),
    ],
)
def test_a_result_that_does_not_last_forbids_it(result: Result) -> None:
    found = state()
    found.results["5"] = (7, result)
    assert not reusable(found)


def test_a_reply_that_was_cut_off_forbids_it() -> None:
    found = state()
    found.models["3"] = Model(model="m", input_hash="", text="The first step is", finish="length")
    assert not reusable(found)


@pytest.mark.parametrize("agent", ["b", "a"])
def test_an_agent_that_keeps_its_answers_to_fewer_people_forbids_it(agent: str) -> None:
    found = state()
    found.results["5"] = (7, Result(run="child", agent=agent, value="x", reusable=True))
    assert reusable(found) == (agent == "b")


def test_a_call_without_its_result_forbids_it() -> None:
    found = state()
    found.calls["5"] = Call(agent="a")
    assert not reusable(found)


@pytest.mark.parametrize("what", ["fallback_answer", "cheaper", "kept"])
def test_an_answer_for_want_of_a_better_one_is_not_told_again(what: str) -> None:
    found = state()
    found.notes["a", "9"] = Note(what=what, data={})
    assert not reusable(found)


def test_neither_a_failure_nor_what_was_made_of_one_is_told_again() -> None:
    assert not reusable(state(), Answer(error=FAILED))
    failed = state()
    failed.models["1"] = Model(model="m", input_hash="", error=FAILED)
    assert not reusable(failed)


def test_the_cost_is_the_exact_sum_with_failed_attempts_and_delegated_runs() -> None:
    found = state()
    found.models["1"] = Model(model="m", input_hash="", attempt=2, cost="0.1")
    found.notes["a", "retry-1-1"] = Note(what="retry", data={"cost": "0.000000000001"})
    found.notes["a", "saved"] = Note(what="saving", data={"cost": "7"})
    assert accounted(found, Answer(text="!"), bool).cost == "0.220000000001"


def test_what_is_no_amount_is_left_out_and_nothing_known_says_nothing() -> None:
    found = RunState(RunKey.checked("r", "c"))
    found.models["1"] = Model(model="m", input_hash="")
    found.notes["a", "retry-1-1"] = Note(what="retry", data={"cost": ["-1"]})
    assert accounted(found, Answer(text="!"), bool).cost == ""
    found.models["1"] = Model(model="m", input_hash="", cost="0")
    assert accounted(found, Answer(text="!"), bool).cost == "0"


def test_an_attempt_that_both_its_note_and_the_outcome_tell_of_counts_once() -> None:
    """So it is when a run is cancelled between two tries."""
    found = state()
    found.models["5"] = Model(model="m", input_hash="", attempt=2, error=FAILED, cost="0.3")
    found.notes["a", "retry-5-1"] = Note(what="retry", data={"cost": "0.4"})
    found.notes["a", "retry-5-2"] = Note(what="retry", data={"cost": "0.3"})
    assert accounted(found, Answer(error=FAILED), lambda _: True).cost == "0.92"


def opened(attempt: int, reserved: str = "1") -> Prompt:
    return Prompt(model="m", input_hash="", attempt=attempt, carrier=1, delivery=attempt, reserved=reserved)


def test_what_nobody_knows_the_cost_of_counts_as_what_was_reserved_for_it() -> None:
    """An attempt that was lost, and one that timed out; not one that was refused, nor one whose cost is known."""
    found = state()
    found.prompts["1"] = [opened(1), opened(2), opened(3), opened(4)]
    found.notes["a", "retry-1-2"] = Note(what="retry", data={"spent": True})
    found.notes["a", "retry-1-3"] = Note(what="fallback", data={"spent": False})
    found.models["1"] = Model(model="m", input_hash="", attempt=4, cost="0.1")
    assert cost_of(found) == "2.22"


def test_a_call_that_failed_counts_as_its_budgets_count_it() -> None:
    found = state()
    found.prompts["3"] = [opened(1)]
    for data, cost in (({"spent": True}, "1.12"), ({"spent": False}, "0.12")):
        failure = Failure(code="model_failed", message="No.", data=data)
        found.models["3"] = Model(model="m", input_hash="", error=failure)
        assert cost_of(found) == cost


def test_the_routers_own_question_counts_and_until_it_is_answered_what_was_reserved() -> None:
    found = state()
    found.notes["router", "classify"] = Note(what="classify", data={"reserved": "1"})
    assert cost_of(found) == "1.22"
    found.notes["router", "classified"] = Note(what="classified", data={"cost": "0.01"})
    assert cost_of(found) == "0.23"
