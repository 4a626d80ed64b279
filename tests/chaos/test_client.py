"""Who waits for an answer goes on waiting while the bus is away."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from tests.conftest import wait_until
from trunkline.bus import Bus, append
from trunkline.client import Answered
from trunkline.client.watch import answer_of, watch
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Request
from trunkline.contracts.subjects import CLIENT, ROUTER, RunKey
from trunkline.host.server import EmbeddedServer

Publish = Callable[[], Awaitable[None]]


async def asked(bus: Bus, key: RunKey, publish: Publish) -> str:
    return (await answer_of(bus, key, publish, 30)).text


async def watched(bus: Bus, key: RunKey, publish: Publish) -> str:
    return "".join([item.text async for item in watch(bus, key, publish, 30) if isinstance(item, Answered)])


@pytest.mark.parametrize("wait", [asked, watched])
async def test_a_bus_that_dies_while_the_answer_is_looked_for_is_waited_for(
    server: EmbeddedServer, bus: Bus, wait: Callable[[Bus, RunKey, Publish], Awaitable[str]]
) -> None:
    key = RunKey.checked(new_run_id(), new_conversation_id())

    async def publish() -> None:
        await append(bus, key.step("request", ROUTER), Request(text="hello"))
        os.kill(server.pid, signal.SIGSTOP)
        stopped.set()

    stopped = asyncio.Event()
    waiting = asyncio.ensure_future(wait(bus, key, publish))
    await stopped.wait()
    await wait_until(lambda: bool(bus.mailbox._pending), "a look at the log that nobody answers")
    await server.stop(kill=True)
    await server.start()
    await wait_until(lambda: bus.client.is_connected, "the connection")
    await append(bus, key.step("answer", CLIENT), Answer(agent="x", text="here"))
    assert await waiting == "here"
