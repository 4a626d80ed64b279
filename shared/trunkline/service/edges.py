"""Request/reply edges: validated by pydantic on the way in, a value or a typed error on the way out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
import structlog
from faststream.nats import NatsBroker
from faststream.nats.annotations import NatsMessage
from pydantic import BaseModel, ValidationError

from trunkline.contracts.codec import encode
from trunkline.contracts.errors import TrunklineError
from trunkline.contracts.messages import Failure
from trunkline.contracts.queries import QueryReply
from trunkline.contracts.subjects import query

log = structlog.get_logger("trunkline.service")

Q = TypeVar("Q", bound=BaseModel)


def answer_queries(
    broker: NatsBroker, service: str, what: str, asked: type[Q], answer: Callable[[Q], Awaitable[Any]], description: str
) -> None:
    """Serve `query.<service>.<what>`: `answer` gets the validated question; it gives structs or JSON values."""

    @broker.subscriber(query(service, what), title=f"{service}.{what}", description=description)
    async def handle(message: NatsMessage) -> bytes:
        try:
            question = asked.model_validate(orjson.loads(message.body or b"{}"))
            return encode(QueryReply(value=await answer(question)))
        except (ValidationError, ValueError) as error:
            return encode(QueryReply(error=_refusal(error)))
        except TrunklineError as error:
            return encode(QueryReply(error=Failure.of(error)))
        except Exception as error:
            log.error("a query failed", action="query_failed", query=f"{service}.{what}", exc_info=error)
            return encode(QueryReply(error=Failure(code="internal_error", message=f"The {service} failed: {error}")))


def _refusal(error: ValueError) -> Failure:
    if isinstance(error, TrunklineError):
        return Failure.of(error)
    if isinstance(error, ValidationError):
        wrong = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'query'}: {item['msg']}" for item in error.errors())
    else:
        wrong = str(error)
    return Failure(code="invalid_arguments", message=f"This query cannot be answered: {wrong}.")
