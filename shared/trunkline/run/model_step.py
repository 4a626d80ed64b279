"""A model call as a step: `prompt` before it is paid, `model` when it came back, never paid again."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from trunkline.bus import append
from trunkline.bus.live import publish_delta
from trunkline.contracts.codec import decode, encode
from trunkline.contracts.dialog import ModelQuery, ModelReply
from trunkline.contracts.errors import DeadlinePassed, ModelFailed, Superseded, TrunklineError
from trunkline.contracts.messages import Delta, Failure, Model
from trunkline.models.port import ModelClient
from trunkline.run.engine import Engine
from trunkline.run.inputs import ModelInput
from trunkline.run.state import next_attempt

log = structlog.get_logger("trunkline.run")

FLUSH_SECONDS = 0.04


class ModelCalls:
    """Makes an agent's model calls in a run. `timeout` is total, in seconds."""

    def __init__(self, engine: Engine, client: ModelClient, *, agent: str, worker: str, version: str, timeout: float):
        self._engine = engine
        self._client = client
        self._agent = agent
        self._worker = worker
        self._version = version
        self._timeout = timeout

    async def reply(self, step: str, query: Callable[[], Awaitable[ModelQuery]], asked: ModelInput) -> ModelReply:
        """What the model said at `step`, recorded or new. Raises ModelFailed, Divergence, Superseded."""
        recorded = self._engine.state.models.get(step)
        if recorded is None:
            recorded = await self._engine.inline(self._ask(step, query, asked))
        await self._engine.check(step, recorded.input_hash, asked)
        if recorded.error:
            raise ModelFailed(recorded.error.message, recorded.error.hint)
        return ModelReply(
            model=recorded.model,
            text=recorded.text,
            calls=recorded.calls,
            usage=recorded.usage,
            finish=recorded.finish,
        )

    async def _ask(self, step: str, query: Callable[[], Awaitable[ModelQuery]], asked: ModelInput) -> Model:
        prompts = self._engine.state.prompts.get(step, ())
        await self._engine.check(step, prompts[-1].input_hash if prompts else "", asked)
        return await self._pay(step, await query(), asked)

    async def _pay(self, step: str, query: ModelQuery, asked: ModelInput) -> Model:
        engine = self._engine
        attempt = next_attempt(engine.state.prompts.get(step, ()), engine.sequence, engine.delivery)
        prompt = asked.prompt(
            model=query.model,
            attempt=attempt,
            carrier=engine.sequence,
            delivery=engine.delivery,
            worker=self._worker,
            version=self._version,
        )
        opened = await append(engine.bus, engine.key.step("prompt", self._agent, f"{step}-{attempt}"), prompt)
        if not opened.own:
            raise Superseded(f"attempt {attempt} of step {step} was opened by somebody else")
        if attempt > 1:
            took = {"worker": self._worker, "version": self._version, "step": step}
            await engine.note(self._agent, f"takeover-{step}-{attempt}", "takeover", **took)
        fact = await self._make(step, attempt, query, asked.hash)
        written = await append(engine.bus, engine.key.step("model", self._agent, step), fact)
        if written.event and isinstance(written.event.fact, Model):
            return written.event.fact
        return fact

    async def _make(self, step: str, attempt: int, query: ModelQuery, digest: str) -> Model:
        started = time.perf_counter()
        teller = _Teller(self._engine, Delta(agent=self._agent, step=step, attempt=attempt, text=""))
        fact = Model(model=query.model, input_hash=digest, attempt=attempt)
        try:
            async with asyncio.timeout(self._timeout):
                reply = await self._client.complete(query, teller.add)
        except TimeoutError:
            late = DeadlinePassed(
                f"{query.model} did not answer within {self._timeout:g} s.",
                "Ask again, or raise models.timeout_seconds.",
            )
            fact = msgspec.structs.replace(fact, error=Failure.of(late))
        except TrunklineError as error:
            fact = msgspec.structs.replace(fact, error=Failure.of(error))
        except (Exception, asyncio.CancelledError) as error:
            if _is_told_to_stop():
                raise
            fact = msgspec.structs.replace(fact, error=_unexpected(query.model, error))
        else:
            fact = msgspec.structs.replace(
                fact, model=reply.model, text=reply.text, calls=reply.calls, usage=reply.usage, finish=reply.finish
            )
        finally:
            await teller.finish()
        fact = msgspec.structs.replace(fact, latency_ms=_ms_since(started), first_text_ms=teller.first_text_ms(started))
        return _speakable(fact)


def _is_told_to_stop() -> bool:
    """Whether our own task is being cancelled; a client library may also let a cancellation of its own get out."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _unexpected(model: str, error: BaseException) -> Failure:
    """What was paid must end in a recorded fact, whatever the client library does."""
    log.error("the model client failed", action="model_client_failed", model=model, exc_info=error)
    return Failure(
        code=ModelFailed.code,
        message=f"The client of {model} failed: {type(error).__name__}: {error}",
        hint="Ask again; its traceback is in the worker's log.",
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
