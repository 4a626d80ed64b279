"""The same turn by hand, on plain nats-py: what the platform's durability costs without the platform.

`python -m bench.raw router|agent|tool URL`

The same: nine facts a run on a stream with the same settings and the same seven-token subjects, each published
with `Nats-Expected-Last-Subject-Sequence: 0` and its acknowledgement awaited before the next step; JSON bodies
with nearly the same fields, 7 % smaller in sum (orjson); three processes; durable pull consumers with the same
settings; `ack_sync` last. Before the second turn the agent reads back by direct get what it needs (the
question, its first reply), for it keeps nothing in memory.

Not there: nobody looks at what stands behind a refused publish, repeats one that timed out, or checks who carries the
turn; no heartbeat, retry or dead letters; no registry; one hard-wired agent; no earlier conversation is read; bodies
are not validated; the task carries the question, so the first turn reads nothing; the model is a function that splits
the question; the tool is a function call in the tool's process, where the platform forks a process with limits; no live
text; the answer is taken from core NATS as announced.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import nats
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig

STREAM = "RAW"
FENCE = {"Nats-Expected-Last-Subject-Sequence": "0"}
BATCH = 64
"""One fetcher that takes up to 64 costs the least CPU a run: with 50 and 100 askers, 8 or 32 fetchers of single
messages took up to twice as much, alone the same. Two or more fetchers of many stalled in our trials.
"""
SLOTS = 256
DIGEST = "ece4ff1972d092934144f281035e0a44"
Body = dict[str, Any]
Handler = Callable[["Service", str, Body, int], Awaitable[None]]


class Service:
    """A connection, and the two things that every step does."""

    def __init__(self, client: Client) -> None:
        self.js: JetStreamContext = client.jetstream()

    async def publish(self, run: str, kind: str, name: str, step: str, body: Body) -> None:
        fact = orjson.dumps({"kind": kind, "id": os.urandom(9).hex()} | body)
        await self.js.publish(f"{run}.{kind}.{name}.{step}", fact, headers=FENCE)

    async def read(self, run: str, kind: str, name: str, step: str) -> Body:
        message = await self.js.get_last_msg(STREAM, f"{run}.{kind}.{name}.{step}", direct=True)
        body: Body = orjson.loads(message.data or b"")
        return body


async def route(service: Service, run: str, request: Body, sequence: int) -> None:
    await service.publish(run, "task", "adder", "0", {"text": request["text"], "user": "", "source": "only_agent"})


async def work(service: Service, run: str, woken_by: Body, sequence: int) -> None:
    if woken_by["kind"] == "task":
        await think(service, run, "1", sequence, ask_for_sum(woken_by["text"]))
        call = {"agent": "adder", "arguments": parse(woken_by["text"]), "input_hash": DIGEST, "turn": {}}
        await service.publish(run, "call", "add", "2", call)
        return
    request, first = await asyncio.gather(
        service.read(run, "request", "router", "0"), service.read(run, "model", "adder", "1")
    )
    assert parse(request["text"]) == first["calls"][0]["arguments"]
    text = f"The result of add is {woken_by['value']}."
    await think(service, run, "3", sequence, {"text": text, "finish": "stop", "first_text_ms": 0.115})
    await service.publish(run, "answer", "client", "0", {"agent": "adder", "text": text})


async def add(service: Service, run: str, call: Body, sequence: int) -> None:
    done: Body = {"tool": "add", "turn": {}, "input_hash": call["input_hash"]}
    done["value"] = call["arguments"]["a"] + call["arguments"]["b"]
    done |= {"duration_ms": 10.296, "resources": {"cpu_ms": 4.591, "max_rss_kib": 21808}}
    done |= {"isolation": "process+rlimits", "executor": "host-20417-7aa1"}
    await service.publish(run, "result", call["agent"], "2", done)


async def think(service: Service, run: str, step: str, sequence: int, reply: Body) -> None:
    """A model call's two facts; the model itself takes no time."""
    prompt: Body = {"model": "offline:small", "input_hash": DIGEST, "attempt": 1, "carrier": sequence, "delivery": 1}
    prompt |= {"worker": "host-20418-9382", "version": "ef89301b300f"}
    await service.publish(run, "prompt", "adder", f"{step}-1", prompt)
    model: Body = {"model": "offline:small", "input_hash": DIGEST} | reply
    model |= {"usage": {"input_tokens": 55, "output_tokens": 5}, "latency_ms": 0.437}
    await service.publish(run, "model", "adder", step, model)


def parse(question: str) -> dict[str, int]:
    _, a, _, b = question.split()
    return {"a": int(a), "b": int(b)}


def ask_for_sum(question: str) -> Body:
    call = {"id": "offline-1-0", "tool": "add", "arguments": parse(question)}
    return {"calls": [call], "finish": "tool_call"}


ROLES: dict[str, tuple[Handler, list[str]]] = {
    "router": (route, ["raw.*.*.*.request.router.*"]),
    "agent": (work, ["raw.*.*.*.task.adder.*", "raw.*.*.*.result.adder.*"]),
    "tool": (add, ["raw.*.*.*.call.add.*"]),
}


async def serve(role: str, url: str) -> None:
    handler, filters = ROLES[role]
    client = await nats.connect(url, name=f"raw-{role}")
    service = Service(client)
    config = ConsumerConfig(
        durable_name=role,
        filter_subjects=filters,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=10,
        max_deliver=-1,
        max_ack_pending=10_000,
    )
    await service.js.add_consumer(STREAM, config)
    await consume(service, role, handler)


async def consume(service: Service, role: str, handler: Handler) -> None:
    """Fetch for ever; up to SLOTS messages are worked on side by side."""
    subscription = await service.js.pull_subscribe_bind(role, STREAM)
    slots = asyncio.Semaphore(SLOTS)

    async def handle(message: Msg) -> None:
        try:
            run = message.subject.rsplit(".", 3)[0]
            await handler(service, run, orjson.loads(message.data), message.metadata.sequence.stream)
            await message.ack_sync()
        finally:
            slots.release()

    async with asyncio.TaskGroup() as group:
        while True:
            try:
                messages = await subscription.fetch(BATCH, timeout=5)
            except TimeoutError:  # nobody asked anything for a while
                continue
            for message in messages:
                await slots.acquire()
                group.create_task(handle(message))


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
