"""What an agent may say of its models and its fallback."""

from __future__ import annotations

import pytest

from trunkline import Agent, Say
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
