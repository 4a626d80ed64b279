"""A model call as a step: `prompt` before it is paid, `model` when it came back, never paid again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from trunkline.bus import append, last
from trunkline.bus.live import publish_delta
from trunkline.contracts.codec import decode, encode
from trunkline.contracts.dialog import ModelQuery, ModelReply, Usage
from trunkline.contracts.errors import (
    CallerMistake,
    Cancelled,
    DeadlinePassed,
    ModelFailed,
    Superseded,
    TrunklineError,
    UnknownPrice,
)
from trunkline.contracts.messages import Delta, Failure, Model
from trunkline.models.port import ModelClient
from trunkline.models.retry import NextTry, Tries
from trunkline.prices import PriceBook
from trunkline.run.engine import Engine, Stopped
from trunkline.run.inputs import ModelInput
from trunkline.run.state import RunState, next_attempt

log = structlog.get_logger("trunkline.run")

FLUSH_SECONDS = 0.04

Queries = Callable[[], Awaitable[Sequence[ModelQuery]]]
"""The same question to each model of a chain, from the first to the last."""


class ModelCalls:
    """Makes an agent's model calls in a run. `timeout` is total, in seconds: over all tries and all models of a chain.
    `retries` are further tries at one model. `end`: of the run, by the event loop's clock.
    """

    def __init__(
        self,
        engine: Engine,
        client: ModelClient,
        prices: PriceBook,
        *,
        agent: str,
        worker: str,
        version: str,
        timeout: float,
        retries: int,
        end: float,
    ):
        self._engine = engine
        self._client = client
        self._prices = prices
        self._agent = agent
        self._worker = worker
        self._version = version
        self._timeout = timeout
        self._retries = retries
        self._end = end

    async def reply(self, step: str, queries: Queries, asked: ModelInput) -> ModelReply:
        """What the model said at `step`, recorded or new. Raises ModelFailed, Divergence, Superseded."""
        recorded = self._engine.state.models.get(step)
        if recorded is None:
            recorded = await self._engine.inline(self._ask(step, queries, asked))
        await self._engine.check(step, recorded.input_hash, asked)
        return reply_of(recorded)

    async def _ask(self, step: str, queries: Queries, asked: ModelInput) -> Model:
        engine = self._engine
        prompts = engine.state.prompts.get(step, ())
        await engine.check(step, prompts[-1].input_hash if prompts else "", asked)
        if prompts and (found := await self._recorded(step)):
            return found
        chain = {query.model: query for query in await queries()}
        await self._prices.prepare(*chain)
        fact = await self._try(step, chain, asked)
        written = await append(engine.bus, engine.key.step("model", self._agent, step), fact)
        if engine.stop.is_set():
            raise Stopped("the run was cancelled")
        if written.event and isinstance(written.event.fact, Model):
            return written.event.fact
        return fact

    async def _try(self, step: str, chain: dict[str, ModelQuery], asked: ModelInput) -> Model:
        """Each model of the chain, each a few times, until one replies: that, or the last failure."""
        engine = self._engine
        attempt = next_attempt(engine.state.prompts.get(step, ()), engine.sequence, engine.delivery)
        tries = tries_so_far(engine.state, self._agent, step, tuple(chain), self._retries)
        end = min(asyncio.get_running_loop().time() + self._timeout, self._end)
        taken_over = attempt > 1
        while True:
            await self._open(step, attempt, tries.model, asked, taken_over=taken_over)
            if attempt > 1 and (found := await self._recorded(step)):
                return found
            fact = await self._make(step, attempt, chain[tries.model], asked.hash, end)
            if fact.error is None or engine.stop.is_set():
                return fact
            tries.failed()
            following = tries.following(fact.error, end - asyncio.get_running_loop().time())
            if following is None:
                return msgspec.structs.replace(fact, error=_in_all(fact.error, tries))
            await self._note_failure(step, fact, fact.error, following)
            if await self._stopped_within(following.pause):
                return msgspec.structs.replace(fact, error=_cancelled(fact.model))
            tries.ask(following.model)
            attempt, taken_over = attempt + 1, False

    async def _recorded(self, step: str) -> Model | None:
        """What an earlier attempt has recorded since, or before the replica that served our fold knew of it."""
        event = await last(self._engine.bus, str(self._engine.key.step("model", self._agent, step)))
        return event.fact if event and isinstance(event.fact, Model) else None

    async def _open(self, step: str, attempt: int, model: str, asked: ModelInput, *, taken_over: bool) -> None:
        """Raises Superseded when somebody else has opened the attempt, Stopped before anything is paid."""
        engine = self._engine
        if engine.stop.is_set():
            raise Stopped("the run was cancelled")
        prompt = asked.prompt(
            model=model,
            attempt=attempt,
            carrier=engine.sequence,
            delivery=engine.delivery,
            worker=self._worker,
            version=self._version,
        )
        opened = await append(engine.bus, engine.key.step("prompt", self._agent, f"{step}-{attempt}"), prompt)
        if not opened.own:
            raise Superseded(f"attempt {attempt} of step {step} was opened by somebody else")
        if taken_over:
            took = {"worker": self._worker, "version": self._version, "step": step}
            await engine.note(self._agent, f"takeover-{step}-{attempt}", "takeover", **took)

    async def _make(self, step: str, attempt: int, query: ModelQuery, digest: str, end: float) -> Model:
        """One paid call, which is over at `end`, by the event loop's clock, or when the run is to stop."""
        started = time.perf_counter()
        teller = _Teller(self._engine, Delta(agent=self._agent, step=step, attempt=attempt, text=""))
        fact = Model(model=query.model, input_hash=digest, attempt=attempt)
        clock = asyncio.timeout_at(end)
        try:
            async with clock:
                with self._engine.interrupting(clock):
                    reply = await self._client.complete(query, teller.add)
        except (Exception, asyncio.CancelledError) as error:
            if _is_told_to_stop():
                raise
            failure = self._cut_off(query.model) if clock.expired() else _failure(query.model, error)
            fact = msgspec.structs.replace(fact, error=failure, usage=_counted(error))
        else:
            fact = msgspec.structs.replace(
                fact, model=reply.model, text=reply.text, calls=reply.calls, usage=reply.usage, finish=reply.finish
            )
        finally:
            await teller.finish()
        fact = msgspec.structs.replace(fact, latency_ms=_ms_since(started), first_text_ms=teller.first_text_ms(started))
        return _speakable(self._priced(fact, query.model))

    def _priced(self, fact: Model, asked: str) -> Model:
        """With its cost, where the price is known and the tokens were counted."""
        if fact.usage == Usage() and not self._prices.is_free(fact.model):
            return fact
        try:
            cost = self._prices.price(fact.model, fact.usage, asked=asked)
        except UnknownPrice:
            return fact
        return msgspec.structs.replace(fact, cost=str(cost), prices=self._prices.version)

    def _cut_off(self, model: str) -> Failure:
        if self._engine.stop.is_set():
            return _cancelled(model)
        late = DeadlinePassed(
            f"{model} did not answer within {self._timeout:g} s, the time for all tries together.",
            "Ask again, or raise `timeout_seconds` in [models] of trunkline.toml.",
        )
        if asyncio.get_running_loop().time() >= self._end:
            late = DeadlinePassed(f"The run's time was up while {model} was asked.", "Give it more time.")
        return _failure(model, late)

    async def _note_failure(self, step: str, fact: Model, failure: Failure, following: NextTry) -> None:
        """That an attempt failed, and what follows: written before the next attempt is opened."""
        data: dict[str, object] = {
            "model": fact.model,
            "code": failure.code,
            "message": failure.message,
            "latency_ms": fact.latency_ms,
            "wait_ms": round(following.pause * 1000),
            "next": following.model,
            **failure.data,
        }
        if fact.usage != Usage():
            data["usage"] = fact.usage
        if fact.cost:
            data |= {"cost": fact.cost, "prices": fact.prices}
        what = "retry" if following.model == fact.model else "fallback"
        await self._engine.note(self._agent, f"retry-{step}-{fact.attempt}", what, **data)

    async def _stopped_within(self, seconds: float) -> bool:
        """Wait that long, unless the run is to stop before."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._engine.stop.wait()
        return self._engine.stop.is_set()


def reply_of(recorded: Model) -> ModelReply:
    """Raises ModelFailed when that is what was recorded."""
    if recorded.error:
        raise ModelFailed(recorded.error.message, recorded.error.hint)
    return ModelReply(
        model=recorded.model,
        text=recorded.text,
        calls=recorded.calls,
        usage=recorded.usage,
        finish=recorded.finish,
    )


def tries_so_far(state: RunState, agent: str, step: str, chain: Sequence[str], retries: int) -> Tries:
    """The tries at a step as the log shows them; an attempt that nobody saw the end of is not one that failed."""
    tries = Tries(chain, retries)
    for prompt in sorted(state.prompts.get(step, ()), key=lambda each: each.attempt):
        note = state.notes.get((agent, f"retry-{step}-{prompt.attempt}"))
        if note:
            tries.failed()
            tries.ask(note.data.get("next"))
    return tries


def _failure(model: str, error: BaseException) -> Failure:
    """With what decides whether to try again, and what it may have cost: something, unless the error knows better."""
    if not isinstance(error, TrunklineError):
        error = _unexpected(model, error)
    kept = ("retryable", "spent", "status", "retry_after")
    data = {name: error.data[name] for name in kept if error.data.get(name) is not None}
    spent = not isinstance(error, CallerMistake)
    return Failure(code=error.code, message=error.what, hint=error.hint, data={"spent": spent, **data})


def _counted(error: BaseException) -> Usage:
    """The tokens of a call that failed, where they are known."""
    usage = error.data.get("usage") if isinstance(error, TrunklineError) else None
    return usage if isinstance(usage, Usage) else Usage()


def _cancelled(model: str) -> Failure:
    hint = "Ask again if that was a mistake."
    return _failure(model, Cancelled(f"The run was cancelled while {model} was asked.", hint))


def _in_all(failure: Failure, tries: Tries) -> Failure:
    """The last failure, and how much was tried."""
    if tries.failures < 2:
        return failure
    who = " and ".join(tries.models)
    return msgspec.structs.replace(failure, message=f"{failure.message} {who} failed in {tries.failures} tries.")


def _is_told_to_stop() -> bool:
    """Whether our own task is being cancelled; a client library may also let a cancellation of its own get out."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _unexpected(model: str, error: BaseException) -> ModelFailed:
    """What was paid must end in a recorded fact, whatever the client library does."""
    log.error("the model client failed", action="model_client_failed", model=model, exc_info=error)
    return ModelFailed(
        f"The client of {model} failed: {type(error).__name__}: {error}",
        "Ask again; its traceback is in the worker's log.",
    )


def _speakable(fact: Model) -> Model:
    """Without lone surrogates, which a model may produce and UTF-8 cannot say."""
    try:
        encode(fact)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(fact), ensure_ascii=False)
        return decode(text.encode(errors="replace"), Model)
    return fact


class _Teller:
    """Publishes text as it comes: the first words at once, the rest in pieces of some 40 ms."""

    def __init__(self, engine: Engine, delta: Delta) -> None:
        self._engine = engine
        self._delta = delta
        self._pieces: list[str] = []
        self._first: float | None = None
        self._begin: asyncio.Handle | None = None
        self._telling: asyncio.Task[None] | None = None
        self._silent = bool(engine.state.task and engine.state.task.parent)

    def add(self, text: str) -> None:
        if not text:
            return
        if self._first is None:
            self._first = time.perf_counter()
        self._pieces.append(text)
        if self._begin is None and not self._silent:
            self._begin = asyncio.get_running_loop().call_soon(self._start)

    def first_text_ms(self, started: float) -> float | None:
        return None if self._first is None else round((self._first - started) * 1000, 3)

    async def finish(self) -> None:
        if self._begin:
            self._begin.cancel()
        if self._telling:
            self._telling.cancel()
            await asyncio.wait([self._telling])
        if not self._silent:
            await self._tell()

    def _start(self) -> None:
        self._telling = asyncio.create_task(self._keep_telling(), name="live text")

    async def _keep_telling(self) -> None:
        while True:
            await self._tell()
            await asyncio.sleep(FLUSH_SECONDS)

    async def _tell(self) -> None:
        text, self._pieces = "".join(self._pieces).encode(errors="replace").decode(), []
        if text:
            await publish_delta(self._engine.bus, self._engine.key, msgspec.structs.replace(self._delta, text=text))


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
