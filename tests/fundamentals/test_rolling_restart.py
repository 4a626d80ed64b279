"""Two versions of an agent's code at once: a run that the new one cannot go on with is finished by the old one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from nats.aio.msg import Msg

from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform
from tests.fundamentals.test_laws import wait_for_kinds
from trunkline import Agent, Run
from trunkline.agent import OnDivergence
from trunkline.bus import lease as lease_module
from trunkline.client import Answered
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.subjects import RunKey
from trunkline.worker import WorkerSettings, handover, working


def agent_of(version: str, on_divergence: OnDivergence) -> Agent:
    agent = Agent("flow", on_divergence=on_divergence)

    @agent.flow
    async def handle(run: Run) -> str:
        await run.sleep(1.0 if version == "old" else 1.5)
        await run.model(f"I am {version}")
        return f"by the {version} code"

    return agent


@contextlib.asynccontextmanager
async def at_work(platform: Platform, agent: Agent, version: str, slots: int) -> AsyncIterator[None]:
    settings = WorkerSettings(slots=slots)
    async with working(
        platform.bus, [agent], platform.model, lambda name: (f"offline:{name}",), version=version, settings=settings
    ):
        yield


def worker(
    platform: Platform, version: str, on_divergence: OnDivergence, slots: int
) -> contextlib.AbstractAsyncContextManager[None]:
    return at_work(platform, agent_of(version, on_divergence), version, slots)


async def ask(platform: Platform) -> asyncio.Task[str]:
    """Until the old code has begun to sleep."""
    key = RunKey.checked(new_run_id(), new_conversation_id())

    async def answer() -> str:
        async for item in platform.client.stream("go", run=key.run, conversation=key.conversation, timeout=20):
            if isinstance(item, Answered):
                return f"{item.error.code}: {item.error.message}" if item.error else item.text
        raise AssertionError("a stream ends with its answer")

    asking = asyncio.create_task(answer())
    await wait_for_kinds(platform, key, "call")
    return asking


@pytest.mark.parametrize(
    ("on_divergence", "expected"), [("old", "by the old code"), ("fail", "divergence: The agent's code asks")]
)
async def test_what_becomes_of_a_run_of_the_old_code(
    platform: Platform, on_divergence: OnDivergence, expected: str
) -> None:
    async with worker(platform, "old", on_divergence, 1):
        await wait_until(lambda: "flow" in platform.routes.agents(), "the router knows the agent")
        askings = [await ask(platform) for _ in range(6)]
        async with worker(platform, "new", on_divergence, 8):
            answers = await asyncio.gather(*askings)
    assert {answer[: len(expected)] for answer in answers} <= {expected, "by the old code"}
    assert any(answer.startswith(expected) for answer in answers)


async def test_a_run_waits_for_a_busy_worker_of_the_old_code(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is offered in vain: who offers it keeps it, and it does not become poison."""
    monkeypatch.setattr(lease_module, "MOST_DELIVERIES", 2)
    monkeypatch.setattr(lease_module, "BOUNCE_SECONDS", 0.01)
    monkeypatch.setattr(handover, "OFFER_AGAIN_SECONDS", 0.05)
    busy, done = asyncio.Event(), asyncio.Event()
    offers: list[str] = []

    async def count(offer: Msg) -> None:
        offers.append(offer.subject)

    def sleeping(version: str) -> Agent:
        agent = Agent("flow", on_divergence="old")

        @agent.flow
        async def handle(run: Run) -> str:
            if run.text == "be busy":
                busy.set()
                await done.wait()
                return "done"
            await run.sleep(2.0 if version == "old" else 2.5)
            return f"by the {version} code"

        return agent

    await platform.bus.client.subscribe("handover.>", cb=count)
    async with at_work(platform, sleeping("old"), "old", 1):
        await wait_until(lambda: "flow" in platform.routes.agents(), "the router knows the agent")
        asking = await ask(platform)
        await platform.asked("be busy", agent="flow")
        await busy.wait()
        async with at_work(platform, sleeping("new"), "new", 8):
            await wait_until(lambda: len(offers) > 5, "offers to a worker that has no room")
            done.set()
            assert await asking == "by the old code"


async def test_without_a_worker_of_the_old_code_the_run_fails_with_both_inputs(platform: Platform) -> None:
    async with worker(platform, "old", "old", 1):
        await wait_until(lambda: "flow" in platform.routes.agents(), "the router knows the agent")
        asking = await ask(platform)
    async with worker(platform, "new", "old", 8):
        answer = await asking
    assert answer.startswith("divergence: The agent's code asks for something else at step 1")
    assert '"seconds": 1.5' in answer
