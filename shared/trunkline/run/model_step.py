"""A model call as a step: `prompt` before it is paid, `model` when it came back, never paid again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from trunkline.budget import PAY_WITHIN
from trunkline.bus import append, last
from trunkline.contracts.codec import decode, encode
from trunkline.contracts.dialog import ModelQuery, ModelReply, Usage
from trunkline.contracts.errors import (
    CallerMistake,
    Cancelled,
    DeadlinePassed,
    ModelFailed,
    OverBudget,
    Superseded,
    TrunklineError,
    UnknownPrice,
)
from trunkline.contracts.messages import Delta, Failure, Model
from trunkline.contracts.subjects import Subject
from trunkline.models.port import ModelClient
from trunkline.models.retry import NextTry, Tries
from trunkline.prices import Money
from trunkline.run.ending import HINTS
from trunkline.run.engine import Engine, Stopped
from trunkline.run.inputs import ModelInput
from trunkline.run.model_cache import CACHE, ModelCache
from trunkline.run.purse import Grant, Purse, remarks, reserved
from trunkline.run.state import RunState, next_attempt
from trunkline.run.teller import Teller, ms_between

log = structlog.get_logger("trunkline.run")

Queries = Callable[[], Awaitable[Sequence[ModelQuery]]]
"""The same question to each model of a chain, from the first to the last."""
RUN_OVER = "run_over"
"""In the data of a failed call: it was cut off by the end of its run, not by its own time-out."""


class ModelCalls:
    """Makes an agent's model calls in a run. `timeout` is total, in seconds: over all tries and all models of a chain.
    `retries` are further tries at one model. `end`: of the run, by the event loop's clock.

    Replies at the steps `asides` are not shown to whoever watches; at the steps `exact`, nothing is asked in place of
    the models that are named.
    """

    def __init__(
        self,
        engine: Engine,
        client: ModelClient,
        purse: Purse,
        *,
        agent: str,
        worker: str,
        version: str,
        timeout: float,
        retries: int,
        end: float,
        cache: ModelCache | None = None,
    ):
        self._engine = engine
        self._client = client
        self._purse = purse
        self._agent = agent
        self._worker = worker
        self._version = version
        self._timeout = timeout
        self._retries = retries
        self._end = end
        self._cache = cache
        self.asked: dict[str, ModelQuery] = {}
        self.asides: set[str] = set()
        self.exact: set[str] = set()

    async def reply(self, step: str, queries: Queries, asked: ModelInput) -> ModelReply:
        """What the model said at `step`, recorded or new. Raises ModelFailed, Divergence, Superseded. When the log says
        that the end of the run cut the call off, the run ends with DeadlinePassed, whatever the flow does.
        """
        recorded = self._engine.state.models.get(step)
        if recorded is None:
            recorded = await self._engine.inline(self._ask(step, queries, asked))
        await self._engine.check(step, recorded.input_hash, asked)
        if recorded.error and recorded.error.data.get(RUN_OVER):
            await self._engine.end(DeadlinePassed(recorded.error.message, recorded.error.hint))
        return reply_of(recorded)

    async def _ask(self, step: str, queries: Queries, asked: ModelInput) -> Model:
        engine = self._engine
        prompts = engine.state.prompts.get(step, ())
        await engine.check(step, prompts[-1].input_hash if prompts else "", asked)
        if prompts and (found := await self._recorded(step)):
            engine.state.models[step] = found
            return found
        chain = {query.model: query for query in await queries()}
        await self._purse.prices.prepare(*chain)
        fact = engine.state.models[step] = await self._kept_or_paid(step, chain, asked)
        if engine.stop.is_set():
            raise Stopped("the run was cancelled")
        return fact

    async def _kept_or_paid(self, step: str, chain: dict[str, ModelQuery], asked: ModelInput) -> Model:
        """A reply from the cache, for which nothing is reserved; or one that is paid."""

        async def pay() -> tuple[Model, ModelQuery]:
            fact = await self._try(step, chain, asked)
            return fact, self.asked.get(step, next(iter(chain.values())))

        if self._cache is None or self._engine.state.prompts.get(step):
            return (await pay())[0]
        wait = min(self._timeout, self._end - asyncio.get_running_loop().time())
        fact = await self._cache.reply(list(chain.values()), asked.hash, pay, wait)
        if fact.source != CACHE:
            return fact
        grant = Grant(next(iter(chain.values())), kept=True)
        await self._open(step, fact.attempt, grant, asked, taken_over=False)
        return await self._record(step, fact)

    async def _try(self, step: str, chain: dict[str, ModelQuery], asked: ModelInput) -> Model:
        """Each model of the chain, each a few times, until one replies: that, or the last failure, as recorded."""
        engine = self._engine
        attempt = next_attempt(engine.state.prompts.get(step, ()), engine.sequence, engine.delivery)
        tries = tries_so_far(engine.state, self._agent, step, tuple(chain), self._retries)
        end = min(asyncio.get_running_loop().time() + self._timeout, self._end)
        taken_over = attempt > 1
        while True:
            grant = await self._grant(step, attempt, chain, tries.model)
            await self._open(step, attempt, grant, asked, taken_over=taken_over)
            if attempt > 1 and (found := await self._recorded(step)):
                await self._leave(step, attempt, grant)
                return found
            fact = await self._make(step, attempt, grant, asked.hash, end)
            if fact.error is None or grant.refusal or engine.stop.is_set():
                return await self._record(step, fact, grant)
            tries.failed()
            following = tries.following(fact.error, end - asyncio.get_running_loop().time())
            if following is None:
                return await self._record(step, msgspec.structs.replace(fact, error=_in_all(fact.error, tries)), grant)
            await self._note_failure(step, fact, fact.error, following, tries.model)
            self._purse.settle(grant, fact)
            if await self._stopped_within(following.pause):
                return await self._record(step, _stopped(fact, fact.error))
            tries.ask(following.model)
            attempt, taken_over = attempt + 1, False

    async def _grant(self, step: str, attempt: int, chain: dict[str, ModelQuery], model: str) -> Grant:
        """What may be asked in this attempt: `model`, or what costs less when the budgets refuse that."""
        names = list(chain)
        rest = [chain[name] for name in names[names.index(model) + 1 :]]
        call = str(self._prompt(step, attempt))
        return await self._purse.grant(chain[model], rest, call, exact=step in self.exact)

    def _prompt(self, step: str, attempt: int) -> Subject:
        return self._engine.key.step("prompt", self._agent, f"{step}-{attempt}")

    async def _record(self, step: str, fact: Model, grant: Grant | None = None) -> Model:
        """Put the outcome on the log. One that stands there already wins, and a note says what ours was paid."""
        engine = self._engine
        written = await append(engine.bus, engine.key.step("model", self._agent, step), fact)
        if not written.own:
            await self._note_unused(step, fact)
        if grant:
            self._purse.settle(grant, fact)
        if written.event and isinstance(written.event.fact, Model):
            return written.event.fact
        return fact

    async def _leave(self, step: str, attempt: int, grant: Grant) -> None:
        """The attempt was opened in vain: nothing is paid in it, and where something was held back, the log says so."""
        if grant.hold:
            fact = Model(model=grant.query.model, input_hash="", attempt=attempt, cost=str(Money()))
            await self._note_unused(step, fact)
            self._purse.settle(grant, fact)

    async def _note_unused(self, step: str, fact: Model) -> None:
        """What an attempt cost whose reply nobody uses, since another one's was recorded."""
        spent = fact.error.data.get("spent", True) if fact.error else True
        data: dict[str, object] = {"model": fact.model, "latency_ms": fact.latency_ms, "spent": spent}
        await self._engine.note(self._agent, f"unused-{step}-{fact.attempt}", "unused", **data, **_paid(fact))

    async def _recorded(self, step: str) -> Model | None:
        """What an earlier attempt has recorded since, or before the replica that served our fold knew of it."""
        event = await last(self._engine.bus, str(self._engine.key.step("model", self._agent, step)))
        return event.fact if event and isinstance(event.fact, Model) else None

    async def _open(self, step: str, attempt: int, grant: Grant, asked: ModelInput, *, taken_over: bool) -> None:
        """Raises Superseded when somebody else has opened the attempt, Stopped before anything is paid."""
        engine = self._engine
        if engine.stop.is_set():
            self._purse.release(grant)
            raise Stopped("the run was cancelled")
        prompt = asked.prompt(
            model=grant.query.model,
            attempt=attempt,
            carrier=engine.sequence,
            delivery=engine.delivery,
            worker=self._worker,
            version=self._version,
        )
        prompt = reserved(prompt, grant)
        opened = await append(engine.bus, self._prompt(step, attempt), prompt)
        if not opened.own:
            self._purse.release(grant)
            raise Superseded(f"attempt {attempt} of step {step} was opened by somebody else")
        engine.state.prompts[step].append(prompt)
        if taken_over:
            took = {"worker": self._worker, "version": self._version, "step": step}
            await engine.note(self._agent, f"takeover-{step}-{attempt}", "takeover", **took)
        for what, note_step, data in remarks(grant, step, attempt):
            await engine.note(self._agent, note_step, what, **data)

    async def _make(self, step: str, attempt: int, grant: Grant, digest: str, end: float) -> Model:
        """One paid call, which is over at `end`, by the event loop's clock, or when the run is to stop; none, when the
        budgets do not allow it or the time is up.
        """
        query = self.asked[step] = grant.query
        fact = Model(model=query.model, input_hash=digest, attempt=attempt)
        in_time = asyncio.get_running_loop().time() < end
        if failure := _not_asked(grant) or (None if in_time else self._cut_off(query.model, end)):
            failure = msgspec.structs.replace(failure, data={**failure.data, "spent": False})
            return msgspec.structs.replace(fact, error=failure, cost=str(Money()), prices=self._purse.prices.version)
        started = time.perf_counter()
        delta = Delta(agent=self._agent, step=step, attempt=attempt, text="")
        teller = Teller(self._engine, delta, silent=step in self.asides)
        clock = asyncio.timeout_at(end)
        try:
            async with clock:
                with self._engine.interrupting(clock):
                    reply = await self._client.complete(query, teller.add)
        except (Exception, asyncio.CancelledError) as error:
            if _is_told_to_stop():
                raise
            failure = self._cut_off(query.model, end) if clock.expired() else _failure(query.model, error)
            fact = msgspec.structs.replace(fact, error=failure, usage=_counted(error))
        else:
            fact = msgspec.structs.replace(
                fact, model=reply.model, text=reply.text, calls=reply.calls, usage=reply.usage, finish=reply.finish
            )
        finally:
            await teller.finish()
        fact = msgspec.structs.replace(
            fact, latency_ms=ms_between(started, time.perf_counter()), first_text_ms=teller.first_text_ms(started)
        )
        return _speakable(self._purse.priced(fact, query.model))

    def _cut_off(self, model: str, end: float) -> Failure:
        """Why the call goes on no more: the run was cancelled; or `end` was the run's, or the call's own."""
        if self._engine.stop.is_set():
            return _cancelled(model)
        late = DeadlinePassed(
            f"{model} did not answer within {self._timeout:g} s, the time for all tries together.",
            "Ask again, or raise `timeout_seconds` in [models] of trunkline.toml.",
        )
        if end >= self._end:
            late = DeadlinePassed(
                f"The run's time was up while agent {self._agent} waited for the model {model}.",
                HINTS[DeadlinePassed.code],
                run_over=True,
            )
        return _failure(model, late)

    async def _note_failure(self, step: str, fact: Model, failure: Failure, following: NextTry, asked: str) -> None:
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
        what = "retry" if following.model == asked else "fallback"
        await self._engine.note(self._agent, f"retry-{step}-{fact.attempt}", what, **data, **_paid(fact))

    async def _stopped_within(self, seconds: float) -> bool:
        """Wait that long, unless the run is to stop before."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._engine.stop.wait()
        return self._engine.stop.is_set()


def reply_of(recorded: Model) -> ModelReply:
    """Raises what was recorded in its place: ModelFailed, OverBudget, UnknownPrice."""
    if recorded.error:
        raise _error_of(recorded.error)
    return ModelReply(
        model=recorded.model,
        text=recorded.text,
        calls=recorded.calls,
        usage=recorded.usage,
        finish=recorded.finish,
    )


def _error_of(failure: Failure) -> TrunklineError:
    refusals: dict[str, type[TrunklineError]] = {OverBudget.code: OverBudget, UnknownPrice.code: UnknownPrice}
    if failure.code in refusals:
        return refusals[failure.code](failure.message, failure.hint, **failure.data)
    return ModelFailed(failure.message, failure.hint)


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
    kept = ("retryable", "spent", "status", "retry_after", RUN_OVER)
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


def _stopped(fact: Model, failure: Failure) -> Model:
    """The run was cancelled after this failure, which cost what it cost."""
    cancelled = _cancelled(fact.model)
    spent = {"spent": failure.data.get("spent", True)}
    return msgspec.structs.replace(fact, error=msgspec.structs.replace(cancelled, data=cancelled.data | spent))


def _not_asked(grant: Grant) -> Failure | None:
    """Why nothing may be paid: the budgets refuse it, or what they allowed a while ago may not be there any more."""
    if grant.refusal:
        return Failure.of(grant.refusal)
    if grant.too_late:
        model = grant.query.model
        what = f"{model} was not asked: this process stood still for {PAY_WITHIN:g} s after it had reserved the money."
        return _failure(model, ModelFailed(what, "Ask again.", retryable=True))
    return None


def _paid(fact: Model) -> dict[str, object]:
    """What a note says of an attempt's tokens and their price, where they are known."""
    data: dict[str, object] = {} if fact.usage == Usage() else {"usage": fact.usage}
    return data | ({"cost": fact.cost, "prices": fact.prices} if fact.cost else {})


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
