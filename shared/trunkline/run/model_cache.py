"""Replies of models that were told the very same words at temperature 0: given again, and made once for all who ask.

What a tool has said from outside may be another thing tomorrow, and may have been written to mislead: once a run has
such a result, its model calls are neither kept nor answered from what is kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from trunkline.agent import Agent
from trunkline.cache import CacheKey, Entry, Served, SingleFlight, cache_key
from trunkline.contracts.codec import decode, encode
from trunkline.contracts.dialog import ModelQuery
from trunkline.contracts.errors import BadMessage, TryAgain
from trunkline.contracts.messages import Model
from trunkline.prices import Money
from trunkline.run.account import is_lasting
from trunkline.run.engine import Engine

CACHE = "cache"
"""The `source` of a reply for which no model was asked."""
_WHOLE = {"stop", "tool_call"}

Pay = Callable[[], Awaitable[tuple[Model, ModelQuery]]]
"""Asks, and records what comes of it; that, and the query to which it is the reply."""


@dataclass(frozen=True, slots=True)
class ModelCache:
    """What a run may have from the cache, for `seconds`. `shared`: from whoever asked; else only from the same user.
    `cacheable` says of a tool whether what it returns may go into what is given again.
    """

    flights: SingleFlight
    engine: Engine
    shared: bool
    seconds: float
    cacheable: Callable[[str], bool]

    @classmethod
    def of(
        cls, flights: SingleFlight | None, engine: Engine, agent: Agent, cacheable: Callable[[str], bool]
    ) -> ModelCache | None:
        """None when nothing may be given again."""
        if flights is None or agent.reuse == "off":
            return None
        return cls(flights, engine, agent.reuse == "shared", agent.reuse_seconds, cacheable)

    async def reply(self, queries: Sequence[ModelQuery], digest: str, pay: Pay, wait: float) -> Model:
        """What `pay` comes to; or a reply that was kept, whose `source` is CACHE and which is not recorded yet. The
        models of the chain are told `queries`, whose input's hash is `digest`.

        While another run asks the very same it is waited for, `wait` seconds at most. Raises what `pay` raises.
        """
        key = self._key(queries)
        if key is None:
            return (await pay())[0]
        began = time.perf_counter()
        attempt = _Attempt(queries[0], pay)
        served = await self._served(key, attempt, wait)
        if attempt.fact is not None:
            return attempt.fact
        kept = _kept(served.entry) if served else None
        if kept is None:
            return (await pay())[0]
        passed = round((time.perf_counter() - began) * 1000, 3)
        return msgspec.structs.replace(kept, input_hash=digest, latency_ms=passed)

    def _key(self, queries: Sequence[ModelQuery]) -> CacheKey | None:
        """None when the reply may be another one next time, or is for nobody else."""
        state = self.engine.state
        if any(query.temperature != 0 for query in queries) or not (self.shared or state.user):
            return None
        if not all(is_lasting(result, self.cacheable) for _, result in state.results.values()):
            return None
        parts = ["model", *(encode(query).decode() for query in queries)]
        return cache_key(parts, tenant=state.key.tenant, user=None if self.shared else state.user)

    async def _served(self, key: CacheKey, attempt: _Attempt, wait: float) -> Served | None:
        """None when there is nothing to be had from others; our own attempt is never given up."""
        flight = asyncio.create_task(self.flights(key, attempt.make, self.seconds), name=f"ask once {key}")
        stop = asyncio.create_task(self.engine.stop.wait(), name="stop asking once")
        try:
            await asyncio.wait({flight, stop}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            return await flight if flight.done() or attempt.begun else None
        except Exception:
            if attempt.begun and attempt.fact is None:
                raise
            return None
        finally:
            stop.cancel()
            flight.cancel()
            await asyncio.wait({flight, stop})


@dataclass(slots=True)
class _Attempt:
    """Our own. `fact` is what it came to."""

    query: ModelQuery
    pay: Pay
    begun: bool = False
    fact: Model | None = None

    async def make(self) -> Entry:
        """Raises _NotKept, and whatever `pay` raises."""
        self.begun = True
        self.fact, answered = await self.pay()
        if self.fact.error or self.fact.finish not in _WHOLE or answered != self.query:
            raise _NotKept("It failed, was cut off, or another model was asked.")
        kept = msgspec.structs.replace(self.fact, id="", input_hash="", attempt=1)
        cost = Decimal(kept.cost or 0)
        return Entry(encode(kept), cost)


class _NotKept(TryAgain):
    """The reply is for the run that asked, and for nobody else."""


def _kept(entry: Entry) -> Model | None:
    """As the log shall have it; None for bytes that this version cannot read."""
    try:
        kept = decode(entry.value, Model)
    except BadMessage:
        return None
    return Model(
        model=kept.model,
        input_hash="",
        text=kept.text,
        calls=kept.calls,
        finish=kept.finish,
        cost=str(Money()),
        prices=kept.prices,
        source=CACHE,
        saved=kept.cost,
    )
