"""The load generator: a closed loop of askers in a process of its own.

`python -m bench.load platform|raw URL`; each line on stdin, `{"concurrency": 10, "runs": 200}`, is one level, whose
figures are the next line on stdout.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import nats
import orjson
from nats.aio.msg import Msg

from bench.raw import FENCE
from trunkline import Client

PATIENCE = 60.0
Ask = Callable[[str], Awaitable[str]]


@contextlib.asynccontextmanager
async def platform(url: str) -> AsyncIterator[Ask]:
    async with Client.connect(url) as client:

        async def ask(question: str) -> str:
            reply = await client.ask(question, timeout=PATIENCE)
            return reply.text

        yield ask


@contextlib.asynccontextmanager
async def raw(url: str) -> AsyncIterator[Ask]:
    """One subscription hears all answers, as a gateway would have it."""
    connection = await nats.connect(url, name="raw-client")
    js = connection.jetstream()
    waiting: dict[str, asyncio.Future[str]] = {}

    async def hear(message: Msg) -> None:
        waiting.pop(message.subject.split(".")[3]).set_result(orjson.loads(message.data)["text"])

    async def ask(question: str) -> str:
        run = str(uuid.uuid4())
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        waiting[run] = answer
        body = orjson.dumps({"kind": "request", "id": os.urandom(9).hex(), "text": question})
        await js.publish(f"raw.main.c-{os.urandom(6).hex()}.{run}.request.router.0", body, headers=FENCE)
        async with asyncio.timeout(PATIENCE):
            return await answer

    await connection.subscribe("raw.*.*.*.answer.client.*", cb=hear)
    yield ask
    await connection.close()


async def level(ask: Ask, concurrency: int, runs: int) -> dict[str, Any]:
    """Seconds for all runs, and milliseconds of each. Raises AssertionError on a wrong answer."""
    numbers = iter(range(runs))
    latencies: list[float] = []

    async def asker() -> None:
        for number in numbers:
            began = time.perf_counter()
            text = await ask(f"Add {number} and {concurrency}")
            latencies.append((time.perf_counter() - began) * 1000)
            assert text == f"The result of add is {number + concurrency}.", text

    began = time.perf_counter()
    await asyncio.gather(*itertools.starmap(asker, itertools.repeat((), concurrency)))
    return {"seconds": time.perf_counter() - began, "latencies": latencies}


async def serve(side: str, url: str) -> None:
    async with (platform if side == "platform" else raw)(url) as ask:
        while line := await asyncio.to_thread(sys.stdin.readline):
            figures = await level(ask, **orjson.loads(line))
            print(orjson.dumps(figures).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
