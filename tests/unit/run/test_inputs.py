"""What a prompt on the log says of its input, short as it is, is all of the input."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts.dialog import AssistantMessage, Message, UserMessage
from trunkline.contracts.messages import Head, Prompt
from trunkline.run.inputs import ModelInput, ModelInputs

# Few words, so that a message is often the same as another one.
TEXTS = st.sampled_from("abc")
MESSAGES: st.SearchStrategy[tuple[Message, ...]] = st.lists(
    TEXTS.map(UserMessage) | TEXTS.map(AssistantMessage), max_size=6
).map(tuple)


def prompt_of(found: ModelInput) -> Prompt:
    return found.prompt(model="m", attempt=1, carrier=1, delivery=1, worker="", version="")


@given(MESSAGES, MESSAGES, st.integers(0, 6), MESSAGES)
def test_it_can_be_told_again(
    history: tuple[Message, ...], opening: tuple[Message, ...], skipped: int, said: tuple[Message, ...]
) -> None:
    """A window over the history, with something before and behind it; or none of it."""
    messages = (*opening, *history[skipped:], *said)
    prompt = prompt_of(ModelInputs(history).of("1", Head(model="m"), messages))
    assert (*prompt.opening, *history[prompt.skipped : prompt.history], *prompt.said) == messages
    assert len(prompt.said) <= len(messages)


@given(MESSAGES, MESSAGES, st.integers(0, 6))
def test_the_hash_is_of_the_messages_however_they_are_told(
    history: tuple[Message, ...], said: tuple[Message, ...], skipped: int
) -> None:
    messages = (*history[skipped:], *said)
    assert ModelInputs(history).of("1", Head(), messages).hash == ModelInputs(()).of("1", Head(), messages).hash


def test_a_window_is_told_by_its_bounds() -> None:
    history = tuple(UserMessage(f"{number}") for number in range(10))
    found = ModelInputs(history).of("1", Head(), (UserMessage("short"), *history[6:], UserMessage("now")))
    prompt = prompt_of(found)
    assert (prompt.opening, prompt.skipped, prompt.history) == ((UserMessage("short"),), 6, 10)
    assert prompt.said == (UserMessage("now"),)
