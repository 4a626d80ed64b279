"""What is sent so that a provider can read the beginning of a prompt from its cache, and what that costs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.models.conftest import MODELS, Canned
from tests.integration.models.streams import DONE, anthropic_end, anthropic_start, events, openai_chunk
from trunkline.contracts.dialog import AssistantMessage, Message, ModelQuery, ToolSpec, Usage, UserMessage
from trunkline.contracts.errors import ModelFailed
from trunkline.models import Models
from trunkline.prices import PriceBook

Open = Callable[..., Models]

MARK = {"type": "ephemeral", "ttl": "5m"}
TOOLS = (ToolSpec(name="math.add", description="Add."), ToolSpec(name="math.mul", description="Multiply."))
ONCE = (UserMessage("hello"),)
TALK = (UserMessage("hello"), AssistantMessage("Hi."), UserMessage("and now?"))
USED = {"input_tokens": 10, "cache_read_input_tokens": 80, "cache_creation_input_tokens": 10, "output_tokens": 1}
ANTHROPIC = events(*anthropic_start("Well.", USED, "claude-haiku-5-5"), *anthropic_end({"output_tokens": 5}))
OPENAI = events(openai_chunk({"content": "Well."}, "stop", {"prompt_tokens": 9, "completion_tokens": 1})) + DONE


async def sent(client: Open, provider: str, reply: bytes, *queries: dict[str, Any]) -> list[dict[str, Any]]:
    """The bodies of the requests."""
    async with Canned(reply).running() as server:
        models = client(server.url)
        for query in queries:
            with contextlib.suppress(ModelFailed):
                await models.complete(ModelQuery(model=MODELS[provider], **query), lambda _: None)
    return server.bodies


def marks(value: object) -> int:
    """How many marks there are in a request."""
    if isinstance(value, dict):
        return ("cache_control" in value) + sum(marks(each) for each in value.values())
    return sum(marks(each) for each in value) if isinstance(value, list) else 0


async def test_anthropic_is_told_what_to_keep(client: Open) -> None:
    """The last tool, the instructions, and the last message: each ends a beginning that comes again."""
    (body,) = await sent(client, "anthropic", ANTHROPIC, {"instructions": "Be kind.", "tools": TOOLS, "messages": TALK})
    assert "cache_control" not in body["tools"][0]
    assert body["tools"][1]["cache_control"] == MARK
    assert body["system"][-1]["cache_control"] == MARK
    assert body["messages"][-1]["content"][-1]["cache_control"] == MARK
    assert marks(body) == 3


@pytest.mark.parametrize(
    ("query", "marked"),
    [
        ({"messages": ONCE}, 0),
        ({"messages": ONCE, "instructions": "Be kind."}, 1),
        ({"messages": TALK}, 1),
        ({"messages": ONCE, "tools": TOOLS}, 2),
    ],
)
async def test_what_nobody_goes_on_from_is_not_written_to_the_cache(
    client: Open, query: dict[str, Any], marked: int
) -> None:
    (body,) = await sent(client, "anthropic", ANTHROPIC, query)
    assert marks(body) == marked


@pytest.mark.parametrize("provider", ["openai", "openai-responses"])
async def test_openai_is_told_which_prompts_begin_alike(client: Open, provider: str) -> None:
    """The reply is of no interest here, and not one of the second kind."""
    alike = {"instructions": "Be kind.", "tools": TOOLS}
    queries = [
        {**alike, "messages": ONCE},
        {**alike, "messages": TALK},
        {"instructions": "Be brief.", "messages": ONCE},
    ]
    bodies = [body for query in queries for body in await sent(client, provider, OPENAI, query)]
    first, second, other = (body["prompt_cache_key"] for body in bodies)
    assert first == second != other
    assert first


async def test_a_provider_that_may_not_know_it_is_told_nothing(client: Open) -> None:
    (body,) = await sent(client, "house", OPENAI, {"messages": TALK, "instructions": "Be kind.", "tools": TOOLS})
    assert "prompt_cache_key" not in body
    assert marks(body) == 0


async def test_equal_beginnings_are_sent_in_equal_words(client: Open) -> None:
    """Tools and instructions first, then the messages: what is new stands behind all that was there before."""
    before: tuple[Message, ...] = ONCE
    for provider, reply in (("house", OPENAI), ("anthropic", ANTHROPIC)):
        told = {"instructions": "Be kind.", "tools": TOOLS}
        one, two = await sent(client, provider, reply, {**told, "messages": before}, {**told, "messages": TALK})
        assert list(one) == list(two)
        assert one["tools"] == two["tools"]
        assert one.get("system") == two.get("system")
        assert _bare(two["messages"][: len(one["messages"])]) == _bare(one["messages"])


async def test_cached_tokens_cost_what_they_cost(client: Open) -> None:
    async with Canned(ANTHROPIC).running() as server:
        query = ModelQuery(model=MODELS["anthropic"], messages=TALK)
        reply = await client(server.url).complete(query, lambda _: None)
    assert reply.usage == Usage(input_tokens=100, output_tokens=5, cache_read_tokens=80, cache_write_tokens=10)
    book = PriceBook()
    uncached = Usage(input_tokens=100, output_tokens=5)
    assert book.price(reply.model, reply.usage) < book.price(reply.model, uncached)


def _bare(messages: Any) -> Any:
    """Without marks, which move on with the conversation."""
    if isinstance(messages, list):
        return [_bare(each) for each in messages]
    if isinstance(messages, dict):
        return {key: _bare(each) for key, each in messages.items() if key != "cache_control"}
    return messages
