"""Whatever a provider does wrong is one ModelFailed that says whether to try again, and never the key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.models.conftest import KEY, MODELS, Aimock, Canned
from tests.integration.models.streams import (
    DONE,
    HEAD,
    anthropic_end,
    anthropic_start,
    events,
    google_chunk,
    openai_chunk,
)
from trunkline.contracts.dialog import ModelQuery, Usage, UserMessage
from trunkline.contracts.errors import ModelFailed
from trunkline.models import Models

Open = Callable[..., Models]
GARBAGE = {"bytes": b"\xff\xfe\x00\x9d" * 64, "events": b"data: {not json}\n\n", "nothing": b""}
every_provider = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


def nowhere(_: str) -> None: ...


def asking(model: str, text: str = "say hello") -> ModelQuery:
    return ModelQuery(model=model, messages=(UserMessage(text),))


async def failure(models: Models, query: ModelQuery, on_text: Callable[[str], None] = nowhere) -> ModelFailed:
    with pytest.raises(ModelFailed) as caught:
        await models.complete(query, on_text)
    assert KEY not in str(caught.value)
    assert KEY not in repr(caught.value.data)
    return caught.value


@every_provider
async def test_too_many_requests(aimock: Aimock, client: Open, model: str) -> None:
    """429 may be tried again, after the time that the provider gives."""
    error = await failure(client(aimock.url), asking(model, "too fast"))

    assert error.data == {"retryable": True, "spent": False, "status": 429, "retry_after": 7.0}
    assert error.what == f"{model} is over its rate limit: Slow down, please."
    assert error.hint.startswith("Try again in 7 s")


@every_provider
async def test_a_server_error_is_not_retried_by_the_sdk(aimock: Aimock, client: Open, model: str) -> None:
    before = len(aimock.requests(model))

    error = await failure(client(aimock.url), asking(model, "break down"))

    assert error.data == {"retryable": True, "spent": False, "status": 500}
    assert "The engine is on fire." in error.what
    assert len(aimock.requests(model)) == before + 1


@pytest.mark.parametrize("model", [model for model in MODELS.values() if not model.startswith("ollama")])
async def test_a_refused_key_is_final_and_stays_secret(aimock: Aimock, client: Open, model: str) -> None:
    """The provider repeats the key in its message; ours does not, and names the variable to look at."""
    error = await failure(client(aimock.url), asking(model, "wrong key"))

    assert error.data["retryable"] is False
    assert error.data["status"] == 401
    assert "***" in error.what
    assert "_KEY" in error.hint


@every_provider
async def test_an_unknown_model_is_final(aimock: Aimock, client: Open, model: str) -> None:
    error = await failure(client(aimock.url), asking(model, "no such model"))

    assert error.data == {"retryable": False, "spent": False, "status": 404}
    assert "model's name" in error.hint


@every_provider
async def test_a_malformed_reply(aimock: Aimock, client: Open, model: str) -> None:
    error = await failure(client(aimock.url), asking(model, "talk garbage"))

    assert error.data["retryable"] is True


@every_provider
@pytest.mark.parametrize(
    "garbage", [b"\xff\xfe\x00\x9d" * 64, b"data: {not json}\n\n", b""], ids=["bytes", "sse", "nothing"]
)
async def test_garbage_bytes(client: Open, model: str, garbage: bytes) -> None:
    async with Canned(HEAD + garbage).running() as server:
        error = await failure(client(server.url), asking(model))

    assert error.data["retryable"] is True
    assert server.requests == 1


@every_provider
async def test_a_reply_that_is_cut_off(aimock: Aimock, client: Open, model: str) -> None:
    """Half a text is streamed, and is not a reply."""
    pieces: list[str] = []

    error = await failure(client(aimock.url), asking(model, "cut off"), pieces.append)

    assert error.data["retryable"] is True
    assert "This sentence is never going to be finished by anybody.".startswith("".join(pieces))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (MODELS["house"], events(openai_chunk({"content": "Half a"}))),
        (MODELS["google"], events(google_chunk("Half a"))),
        (MODELS["anthropic"], events(*anthropic_start("Half a", {"input_tokens": 1, "output_tokens": 1}))),
    ],
    ids=["house", "google", "anthropic"],
)
async def test_a_stream_that_ends_without_saying_why(client: Open, model: str, said: bytes) -> None:
    """A well-closed connection does not make half a reply whole."""
    pieces: list[str] = []
    async with Canned(said).running() as server:
        error = await failure(client(server.url), asking(model), pieces.append)

    assert "".join(pieces) == "Half a"
    assert error.data == {"retryable": True, "spent": True}


@every_provider
async def test_a_silent_provider_costs_no_more_than_the_time_out(client: Open, model: str) -> None:
    """The request is taken and never answered: the time-out fires and the connection is closed."""
    async with Canned(b"", close=False).running() as server:
        error = await failure(client(server.url, timeout_seconds=2.5), asking(model))
        await asyncio.wait_for(server.left.wait(), 30)

    assert error.data == {"retryable": True, "spent": True}
    assert error.what == f"{model} did not answer within 2.5 s."


@every_provider
async def test_the_time_out_is_total(client: Open, model: str) -> None:
    """A provider that keeps sending, but never gets to the end, is stopped as well."""
    async with Canned(HEAD, trickle=b"\n").running() as server:
        async with asyncio.timeout(20):  # without a total time-out it would go on for ever
            error = await failure(client(server.url, timeout_seconds=2.5), asking(model))
        await asyncio.wait_for(server.left.wait(), 30)

    assert "did not answer within 2.5 s" in error.what


async def test_no_sign_of_life(client: Open) -> None:
    """The connection stands and nothing comes: that takes `first_seconds`, for a model may think for long."""
    async with Canned(HEAD, close=False).running() as server:
        error = await failure(client(server.url, first_seconds=2.5, stall_seconds=0.1), asking(MODELS["house"]))
        await asyncio.wait_for(server.left.wait(), 30)

    assert error.data == {"retryable": True, "spent": True}
    assert error.what == "house:any/model gave no sign of life for 2.5 s."


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (MODELS["house"], events(openai_chunk({"content": "Half a"}))),
        (MODELS["google"], events(google_chunk("Half a"))),
        (MODELS["anthropic"], events(*anthropic_start("Half a", {"input_tokens": 1, "output_tokens": 1}))),
    ],
    ids=["house", "google", "anthropic"],
)
async def test_a_stream_that_stalls_is_cut(client: Open, model: str, said: bytes) -> None:
    pieces: list[str] = []
    async with Canned(said, close=False).running() as server:
        error = await failure(client(server.url, stall_seconds=0.3), asking(model), pieces.append)
        await asyncio.wait_for(server.left.wait(), 30)

    assert "".join(pieces) == "Half a"
    assert error.data == {"retryable": True, "spent": True}
    assert error.what == f"{model} began to answer and then said nothing for 0.3 s."


THOUGHT = openai_chunk({"reasoning_content": "Hm. "})
ARGUMENT = openai_chunk({"tool_calls": [{"index": 0, "function": {"arguments": " "}}]})
CALL = openai_chunk({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "add"}}]})


@pytest.mark.parametrize(
    ("begun", "trickle"),
    [(b"", THOUGHT), (events(CALL).removeprefix(HEAD), ARGUMENT)],
    ids=["a thought", "a piece of a tool call"],
)
async def test_whatever_the_model_sends_is_a_sign_of_life(client: Open, begun: bytes, trickle: dict[str, Any]) -> None:
    """It has no text for longer than a stall may take, and is only stopped when all its time is up."""
    pieces: list[str] = []
    patience = {"timeout_seconds": 5.0, "first_seconds": 3.0, "stall_seconds": 3.0}
    async with Canned(HEAD + begun, trickle=events(trickle).removeprefix(HEAD)).running() as server:
        error = await failure(client(server.url, **patience), asking(MODELS["house"]), pieces.append)
        await asyncio.wait_for(server.left.wait(), 30)

    assert set(pieces) == {""}
    assert "did not answer within 5 s" in error.what


@every_provider
async def test_a_cancelled_call_closes_its_stream(client: Open, model: str) -> None:
    async with Canned(HEAD, trickle=b"\n").running() as server:
        call = asyncio.create_task(client(server.url).complete(asking(model), nowhere))
        await asyncio.wait_for(server.first_byte.wait(), 30)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(server.left.wait(), 30)


@every_provider
async def test_nobody_there(client: Open, model: str) -> None:
    """A refused connection may be tried again, and has cost nothing."""
    async with Canned(b"").running() as server:
        pass  # its port is free again
    error = await failure(client(server.url), asking(model))

    assert error.data == {"retryable": True, "spent": False}
    assert "could not be reached" in error.what


async def test_arguments_that_are_not_json(client: Open) -> None:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "add", "arguments": "{oops"}}
    said = events(openai_chunk({"tool_calls": [call]}, finish="tool_calls")) + DONE
    async with Canned(said).running() as server:
        error = await failure(client(server.url), asking(MODELS["house"]))

    assert error.data["retryable"] is True


async def test_a_reply_with_nothing_in_it(client: Open) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    async with Canned(events(openai_chunk({"content": ""}, "stop", usage)) + DONE).running() as server:
        error = await failure(client(server.url), asking(MODELS["house"]))

    assert error.data == {"retryable": True, "spent": True, "usage": Usage(input_tokens=7, output_tokens=3)}
    assert "neither text nor a tool call" in error.what


async def test_cached_tokens_of_openai(client: Open) -> None:
    """OpenAI counts cached tokens inside the prompt's; the snapshot that served is named."""
    usage = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 80}}
    said = openai_chunk({"content": "Yes."}, "stop", usage | {"total_tokens": 105}, model="gpt-6-luna-2026-09-01")
    async with Canned(events(said) + DONE).running() as server:
        reply = await client(server.url).complete(asking(MODELS["openai"]), nowhere)

    assert reply.usage == Usage(input_tokens=100, output_tokens=5, cache_read_tokens=80)
    assert reply.model == "openai:gpt-6-luna-2026-09-01"


async def test_cached_tokens_of_anthropic(client: Open) -> None:
    """Anthropic counts them beside the input; ours are inclusive whoever counts."""
    usage = {"input_tokens": 10, "cache_read_input_tokens": 80, "cache_creation_input_tokens": 10, "output_tokens": 1}
    said = events(*anthropic_start("Yes.", usage, "claude-haiku-5-5"), *anthropic_end({"output_tokens": 5}))
    async with Canned(said).running() as server:
        reply = await client(server.url).complete(asking(MODELS["anthropic"]), nowhere)

    assert reply.usage == Usage(input_tokens=100, output_tokens=5, cache_read_tokens=80, cache_write_tokens=10)
