"""What an agent may say of its models and its fallback."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline import Agent, Run, Say
from trunkline.contracts.errors import InvalidName, InvalidSettings


def test_an_agent_names_one_model_or_several() -> None:
    assert Agent("a").models == ("small",)
    several = Agent("a", model=["large", "local:m"])
    assert (several.models, several.model) == (("large", "local:m"), "large, local:m")


@pytest.mark.parametrize("model", ["", [], ["large", ""]])
def test_a_model_needs_a_name(model: str | list[str]) -> None:
    with pytest.raises(InvalidSettings, match="a model has no name"):
        Agent("a", model=model)


def test_a_fallback_is_another_agent_or_a_text() -> None:
    assert Agent("a", fallback="b").fallback == "b"
    assert Agent("a", fallback=Say("Closed.")).fallback == Say("Closed.")
    with pytest.raises(InvalidSettings, match="its own fallback"):
        Agent("a", fallback="a")
    with pytest.raises(InvalidName):
        Agent("a", fallback="We are closed.")


@pytest.mark.parametrize("most", [0, -1, 1.5, True, "512"])
def test_a_reply_has_a_length(most: Any) -> None:
    assert Agent("a", max_output_tokens=1).max_output_tokens == 1
    with pytest.raises(InvalidSettings, match=r"agent a: max_output_tokens is .*whole number from 1"):
        Agent("a", max_output_tokens=most)


def test_over_a_budget_an_agent_refuses_or_goes_on_cheaper() -> None:
    assert Agent("a").over_budget == "refuse"
    assert "small" in Agent("a", model="house:m", over_budget="cheaper").wanted_models
    with pytest.raises(InvalidSettings, match='It is "refuse" or "cheaper"'):
        Agent("a", over_budget="beg")  # type: ignore[arg-type]  # what somebody may write


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [
        ("history_tokens", 199, 200),
        ("history_tokens", 8000.0, 200),
        ("result_tokens", 49, 50),
        ("most_tools", 0, 1),
        ("most_tools", True, 1),
    ],
)
def test_a_prompt_needs_some_room(option: str, value: Any, least: int) -> None:
    assert getattr(Agent("a", **{option: least}), option) == least  # type: ignore[arg-type]
    with pytest.raises(InvalidSettings, match=rf"agent a: {option} is .*whole number from {least}\."):
        Agent("a", **{option: value})


@pytest.mark.parametrize("temperature", [-0.1, 2.1, float("nan"), "0", True])
def test_a_temperature_is_between_zero_and_two(temperature: Any) -> None:
    assert [Agent("a", temperature=each).temperature for each in (None, 0, 2.0)] == [None, 0, 2.0]
    with pytest.raises(InvalidSettings, match=r"agent a: temperature is .*from 0 to 2"):
        Agent("a", temperature=temperature)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"reuse": "all"}, "reuse is 'all'"),
        ({"reuse": None}, "reuse is None"),
        ({"reuse_seconds": 0}, "reuse_seconds is 0"),
        ({"reuse_seconds": float("inf")}, "reuse_seconds is inf"),
        ({"reuse_seconds": "60"}, "reuse_seconds is '60'"),
        ({"alike": "yes"}, "alike is 'yes'"),
        ({"alike": True, "reuse": "off"}, "alike is True, and reuse 'off'"),
    ],
)
def test_whose_answers_are_given_again_is_said_clearly(options: dict[str, Any], said: str) -> None:
    """A card that says something else would be read by nobody: the agent would run, and get nothing."""
    assert Agent("a", reuse="shared", reuse_seconds=0.5, alike=True).reuse == "shared"
    with pytest.raises(InvalidSettings, match=f"agent a: {said}"):
        Agent("a", **options)


def test_an_agent_may_leave_its_tier_open() -> None:
    assert Agent("a", model="auto").wanted_models == ("small", "large")
    assert Agent("a", model="small", check="model").wanted_models == ("small", "large")
    assert Agent("a", model=["large", "local:m"]).wanted_models == ("large", "local:m")
    with pytest.raises(InvalidSettings, match="beside other models"):
        Agent("a", model=["auto", "local:m"])


@pytest.mark.parametrize(
    ("model", "check", "said"),
    [
        ("large", "model", 'Write model="auto" or model="small"'),
        ("local:m", "model", 'Write model="auto" or model="small"'),
        (["small", "large"], "model", 'Write model="auto" or model="small"'),
        ("auto", "yes", "Give a function of question and answer"),
        ("auto", True, "Give a function of question and answer"),
    ],
)
def test_a_check_needs_a_small_tier_and_somebody_who_makes_it(model: str | list[str], check: object, said: str) -> None:
    with pytest.raises(InvalidSettings) as error:
        Agent("a", model=model, check=check)  # type: ignore[arg-type]  # what a typing error may come to
    assert said in str(error.value)


def test_a_flow_of_its_own_is_not_checked() -> None:
    agent = Agent("a", model="auto", check="model")

    async def flow(run: Run) -> str:
        return run.text

    with pytest.raises(InvalidSettings, match="whose answers nobody checks"):
        agent.flow(flow)
