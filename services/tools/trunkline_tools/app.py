"""The tool service: an executor for every tool of its files and of its MCP servers, and the timekeeper."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path

import msgspec
import structlog

from trunkline.bus import Bus, LeaseLoop, StoredMessage, recorded
from trunkline.bus.cancels import Cancels
from trunkline.bus.clock import ServerClock
from trunkline.bus.consumers import of_tool
from trunkline.bus.dead import parking
from trunkline.bus.lease import all_running
from trunkline.bus.registry import TOOLS, registered
from trunkline.contracts.attempts import attempt_of
from trunkline.contracts.errors import BrokenFile, TrunklineError
from trunkline.contracts.ids import tool_token
from trunkline.contracts.messages import Failure
from trunkline.contracts.registry import ToolCard
from trunkline.contracts.subjects import RunKey, Subject
from trunkline.run.ending import fail_call
from trunkline.service import Service
from trunkline_tools.executor import Executor
from trunkline_tools.sandbox.contract import Sandbox
from trunkline_tools.sandbox.zygote import ZygoteSandbox
from trunkline_tools.service_settings import ToolsSettings
from trunkline_tools.timekeeper import keeping_time

log = structlog.get_logger("trunkline.tools")


def tools_service(settings: ToolsSettings) -> Service:
    executor_id = f"{socket.gethostname()[:30]}-{os.getpid()}-{os.urandom(2).hex()}".replace(".", "-")

    @contextlib.asynccontextmanager
    async def work(bus: Bus) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            offers = [offer async for offer in _entered(stack, _files(settings), required=True)]
            offers += [offer async for offer in _entered(stack, _mcp_servers(settings), required=False)]
            if settings.builtin:
                offers += [_besides(offers, own) async for own in _entered(stack, _builtin(), required=True)]
            cards = _unique(offers, executor_id, settings.tool_beat)
            cancels = await stack.enter_async_context(Cancels().listening(bus))
            clock = await stack.enter_async_context(ServerClock().running(bus))
            executors = [
                Executor(bus, card, sandbox, cancels, clock, settings.approval_wait) for card, sandbox in cards
            ]
            await stack.enter_async_context(all_running([_loop(executor, settings) for executor in executors]))
            if settings.timers:
                await stack.enter_async_context(keeping_time(bus, drain_seconds=settings.drain))
            by_key = {f"{tool_token(card.tool)}.{executor_id}": card for card, _ in cards}
            await stack.enter_async_context(registered(bus, TOOLS, by_key))
            yield

    return Service("tools", settings, work)


def _loop(executor: Executor, settings: ToolsSettings) -> LeaseLoop:
    return LeaseLoop(
        executor.bus,
        of_tool(executor.card.tool, ack_wait=settings.ack_wait),
        executor.handle,
        park=parking(executor.bus, "tools", partial(_give_up, executor.bus)),
        slots=settings.tool_slots,
        drain_seconds=settings.drain,
    )


async def _give_up(bus: Bus, message: StoredMessage, key: RunKey, failure: Failure) -> None:
    """A decision that cannot be carried out fails the call that it is about."""
    subject = Subject.parse(message.subject)
    if subject.kind == "decision":
        step, _ = attempt_of(subject.kind, subject.step)
        call = await recorded(bus, str(key.step("call", subject.name, step)))
        if call is None:
            return
        message = StoredMessage(str(call.subject), call.sequence, call.at, call.raw)
    await fail_call(bus, message, key, failure)


def _files(settings: ToolsSettings) -> Iterable[tuple[str, Sandbox]]:
    for path in settings.tool_files:
        yield str(path), ZygoteSandbox(Path(path))


def _builtin() -> Iterable[tuple[str, Sandbox]]:
    path = Path(__file__).with_name("builtin.py")
    yield path.name, ZygoteSandbox(path)


def _besides(
    others: Iterable[tuple[Sandbox, tuple[ToolCard, ...]]], offer: tuple[Sandbox, tuple[ToolCard, ...]]
) -> tuple[Sandbox, tuple[ToolCard, ...]]:
    """The offer without what others offer under the same name: the user's tool is the one that is meant."""
    taken = {card.tool for _, cards in others for card in cards}
    sandbox, cards = offer
    return sandbox, tuple(card for card in cards if card.tool not in taken)


def _mcp_servers(settings: ToolsSettings) -> Iterable[tuple[str, Sandbox]]:
    if not settings.mcp:
        return []
    from trunkline_tools.mcp_tools import mcp_sandboxes

    return mcp_sandboxes(settings.config)


async def _entered(
    stack: contextlib.AsyncExitStack, sandboxes: Iterable[tuple[str, Sandbox]], *, required: bool
) -> AsyncIterator[tuple[Sandbox, tuple[ToolCard, ...]]]:
    """Start each sandbox and see what it offers. An MCP server that is away must not keep the others from working."""
    for name, sandbox in sandboxes:
        try:
            entered = await stack.enter_async_context(sandbox)
            yield entered, await entered.describe()
        except TrunklineError as error:
            if required:
                raise
            log.error("left out", action="tool_source_failed", source=name, reason=error.what, hint=error.hint)


def _unique(
    offers: Iterable[tuple[Sandbox, tuple[ToolCard, ...]]], executor: str, beat: float
) -> list[tuple[ToolCard, Sandbox]]:
    found: dict[str, tuple[ToolCard, Sandbox]] = {}
    for sandbox, cards in offers:
        for card in cards:
            if card.tool in found:
                raise BrokenFile(
                    f"Two tools are named {card.tool!r}.", "Give one of them another name: @tool(name=...)."
                )
            found[card.tool] = msgspec.structs.replace(card, executor=executor, beat_seconds=beat), sandbox
    return list(found.values())
