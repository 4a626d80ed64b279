"""What every provider says comes back in one shape: text as it streams, tool calls, usage."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.models.conftest import MODELS, Aimock
from trunkline.contracts.dialog import (
    AssistantMessage,
    ModelQuery,
    ModelReply,
    ToolCall,
    ToolMessage,
    ToolSpec,
    Usage,
    UserMessage,
)
from trunkline.models import Models

NUMBER = {"type": "integer"}
ADD = ToolSpec(
    name="math.add",
    description="Add two numbers.",
    parameters={"type": "object", "properties": {"a": NUMBER, "b": NUMBER}, "required": ["a", "b"]},
)
Open = Callable[..., Models]
every_provider = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


def nowhere(_: str) -> None: ...


@every_provider
async def test_text_streams_piece_by_piece(aimock: Aimock, client: Open, model: str) -> None:
    """`on_text` gets the text in several pieces, which together are the reply."""
    pieces: list[str] = []
    query = ModelQuery(model=model, instructions="Be kind.", messages=(UserMessage("say hello"),))

    reply = await client(aimock.url).complete(query, pieces.append)

    assert len(pieces) > 3
    assert "".join(pieces) == reply.text == "Hello from the other side of the wire."
    assert reply.model == model
    assert reply.usage == Usage(input_tokens=12, output_tokens=9)
    assert reply.finish == "stop"
    assert aimock.requests(model)[-1]["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "say hello"},
    ]


@every_provider
async def test_a_tool_is_called_and_its_result_returned(aimock: Aimock, client: Open, model: str) -> None:
    """The provider sees `math__add`, we see `math.add`; call and return are paired by the provider's id."""
    models = client(aimock.url)
    query = ModelQuery(model=model, messages=(UserMessage("add 2 and 3"),), tools=(ADD,))
    asked = await models.complete(query, nowhere)
    assert asked == ModelReply(
        model=model,
        calls=(ToolCall(id="call_add", tool="math.add", arguments={"a": 2, "b": 3}),),
        usage=Usage(input_tokens=30, output_tokens=7),
        finish="tool_call",
    )

    returned = ToolMessage(call_id="call_add", tool="math.add", content=5)
    follow_up = (*query.messages, AssistantMessage(calls=asked.calls), returned)
    answer = await models.complete(ModelQuery(model=model, messages=follow_up, tools=(ADD,)), nowhere)

    assert answer.text == "It is 5."
    assert answer.finish == "stop"
    sent = aimock.requests(model)[-1]
    assert sent["tools"][0]["function"]["name"] == "math__add"
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool"]
    assert sent["messages"][1]["tool_calls"][0]["function"]["name"] == "math__add"
    assert sent["messages"][2]["tool_call_id"] == "call_add"
    assert "5" in sent["messages"][2]["content"]


@every_provider
async def test_text_and_two_calls_in_one_reply(aimock: Aimock, client: Open, model: str) -> None:
    query = ModelQuery(model=model, messages=(UserMessage("two at once"),), tools=(ADD,))

    reply = await client(aimock.url).complete(query, nowhere)

    assert reply.text == "One moment."
    assert [(call.id, call.arguments) for call in reply.calls] == [
        ("call_1", {"a": 1, "b": 2}),
        ("call_2", {"a": 3, "b": 4}),
    ]


@every_provider
async def test_a_failed_call_is_told_to_the_model(aimock: Aimock, client: Open, model: str) -> None:
    """A failed tool return reaches the model with the error's own words."""
    call = ToolCall(id="call_add", tool="math.add", arguments={"a": 2, "b": 3})
    failed = ToolMessage(call_id="call_add", tool="math.add", content="out of numbers", failed=True)
    history = (UserMessage("add 2 and 3"), AssistantMessage("Let me see.", (call,)), failed)

    await client(aimock.url).complete(ModelQuery(model=model, messages=history, tools=(ADD,)), nowhere)

    told = aimock.requests(model)[-1]["messages"][-1]["content"]
    assert "out of numbers" in told
    assert "error" in told or model.startswith("anthropic:")  # there it is a flag, which aimock does not keep


async def test_limits_reach_the_provider(aimock: Aimock, client: Open) -> None:
    query = ModelQuery(
        model=MODELS["house"], messages=(UserMessage("say hello"),), max_output_tokens=77, temperature=0.5
    )

    await client(aimock.url).complete(query, nowhere)

    sent = aimock.requests(MODELS["house"])[-1]
    assert 77 in {sent.get("max_tokens"), sent.get("max_completion_tokens")}
    assert sent["temperature"] == 0.5


async def test_an_error_of_the_listener_is_not_the_models(aimock: Aimock, client: Open) -> None:
    """What `on_text` raises passes through, and the client stays usable."""
    models = client(aimock.url)
    query = ModelQuery(model=MODELS["openai"], messages=(UserMessage("say hello"),))

    def broken(_: str) -> None:
        raise LookupError("the watcher is gone")

    with pytest.raises(LookupError, match="the watcher is gone"):
        await models.complete(query, broken)
    assert (await models.complete(query, nowhere)).text
