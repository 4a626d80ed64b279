"""Models of real providers, through pydantic-ai's direct interface: one request, one streamed reply, no retries."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from pydantic_ai import messages as wire
from pydantic_ai.direct import model_request_stream
from pydantic_ai.models import Model, create_async_httpx2_client

from trunkline.contracts.dialog import ModelQuery, ModelReply
from trunkline.contracts.errors import TrunklineError
from trunkline.models.dialects import build
from trunkline.models.failures import cut_short, empty
from trunkline.models.patience import OnText, Patience, patiently
from trunkline.models.provider_failures import translated
from trunkline.models.settings import ModelSettings
from trunkline.models.tiers import Endpoint, endpoint
from trunkline.models.translate import call_settings, finish, from_wire, parameters, to_wire

_MAY_BE_EMPTY = {"length", "content_filter"}


class ProviderModels:
    """All providers over one pool of connections, which `close` closes."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._patience = Patience(settings.first_seconds, settings.stall_seconds, settings.timeout_seconds)
        self._http = create_async_httpx2_client()
        self._built: dict[str, tuple[Model, Endpoint]] = {}
        self._building = asyncio.Lock()

    async def complete(self, query: ModelQuery, on_text: OnText) -> ModelReply:
        """`query.model` is `provider:model`. An exception of `on_text` passes through as it is."""
        model, where = await self._model(query.model)
        return await patiently(query.model, partial(_read, model, where, query), on_text, self._patience)

    async def prepare(self, name: str) -> None:
        """Import what this model needs. Raises InvalidSettings."""
        await self._model(name)

    async def close(self) -> None:
        await self._http.aclose()

    async def _model(self, name: str) -> tuple[Model, Endpoint]:
        """Built in a thread, for it may import an SDK."""
        if name not in self._built:
            async with self._building:
                provider, _, model = name.partition(":")
                where = endpoint(self._settings, provider)
                self._built[name] = (await asyncio.to_thread(build, where, model, self._http), where)
        return self._built[name]


async def _read(model: Model, where: Endpoint, query: ModelQuery, on_text: OnText) -> ModelReply:
    reply: ModelReply | None = None
    async with aclosing(_stream(model, where, query)) as pieces:
        async for piece in pieces:
            if isinstance(piece, ModelReply):
                reply = piece
            else:
                on_text(piece)
    assert reply is not None  # noqa: S101  # the stream ends with the reply or raises
    return reply


async def _stream(model: Model, where: Endpoint, query: ModelQuery) -> AsyncGenerator[str | ModelReply, None]:
    """The texts as they come, then the reply."""
    try:
        async with aclosing(_pieces(model, query, where)) as pieces:
            async for piece in pieces:
                yield piece
    except TrunklineError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever an SDK raises on what a provider sends
        # The cause may quote the request, and so the key.
        raise translated(error, query.model, where) from None


async def _pieces(model: Model, query: ModelQuery, where: Endpoint) -> AsyncGenerator[str | ModelReply, None]:
    async with model_request_stream(
        model,
        to_wire(query),
        model_settings=call_settings(query, where.dialect),
        model_request_parameters=parameters(query.tools),
        instrument=False,
    ) as stream:
        async for event in stream:
            yield _text(event)
        response = stream.get()
    if response.state != "complete" or not finish(response) or finish(response) == "error":
        raise cut_short(query.model)
    reply = from_wire(response, where.provider)
    if not reply.text and not reply.calls and reply.finish not in _MAY_BE_EMPTY:
        raise empty(query.model, reply.usage)
    yield reply


def _text(event: wire.ModelResponseStreamEvent) -> str:
    """Empty for a thought, a piece of a tool call, or whatever else shows that the model is at work."""
    if isinstance(event, wire.PartStartEvent) and isinstance(event.part, wire.TextPart):
        return event.part.content
    if isinstance(event, wire.PartDeltaEvent) and isinstance(event.delta, wire.TextPartDelta):
        return event.delta.content_delta
    return ""
