"""Reading the log into the open runs: complete on entering, and from the mark."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.conftest import wait_until
from trunkline.bus import Bus, StoredMessage, append, follow
from trunkline.bus.marks import Mark, keep_mark, read_mark
from trunkline.bus.streams import stream_info
from trunkline.contracts.errors import BusUnavailable, TryAgain
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Request, Task
from trunkline.contracts.subjects import ROUTER, TRUNK, RunKey
from trunkline_router.deadline import Limits
from trunkline_router.runs import reader
from trunkline_router.runs.open_runs import OpenRuns
from trunkline_router.runs.reader import Reader


async def ask(bus: Bus) -> RunKey:
    key = RunKey.checked(new_run_id(), new_conversation_id())
    await append(bus, key.step("request", ROUTER), Request(text="?"))
    return key


async def ask_and_answer(bus: Bus) -> None:
    key = await ask(bus)
    await append(bus, key.step("task", "plain"), Task())
    await append(bus, key.step("answer", "client"), Answer(text="!"))


def nobody_looks() -> None:
    pass


async def test_all_open_runs_are_known_on_entering(bus: Bus) -> None:
    keys = await asyncio.gather(*(ask(bus) for _ in range(700)))
    await asyncio.gather(*(ask_and_answer(bus) for _ in range(100)))
    runs = OpenRuns(Limits())
    async with Reader(bus, runs).reading(nobody_looks):
        assert len(runs) == 700
        assert all(key in runs for key in keys)
        assert runs.position == 1000


async def test_who_begins_anew_reads_only_what_may_matter(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MARK_SECONDS", 0.05)
    for _ in range(20):
        await ask_and_answer(bus)
    key = await ask(bus)
    await ask_and_answer(bus)
    async with Reader(bus, OpenRuns(Limits())).reading(nobody_looks):

        async def marked() -> bool:
            return (await read_mark(bus, ROUTER)).sequence == 60

        await wait_until(marked, "the mark before the open run")
    begun: list[int] = []

    def behind(bus: Bus, stream: str, *, after: int, filters: Sequence[str]) -> AsyncIterator[list[StoredMessage]]:
        begun.append(after)
        return follow(bus, stream, after=after, filters=filters)

    monkeypatch.setattr(reader, "follow", behind)
    runs = OpenRuns(Limits())
    async with Reader(bus, runs).reading(nobody_looks):
        run = runs.get(key)
        assert run
        assert (len(runs), run.first) == (1, 61)
    assert begun == [60]


async def test_a_mark_of_another_log_is_none(bus: Bus) -> None:
    """The log may have been made anew, or be shorter than the mark says."""
    info = await stream_info(bus, TRUNK)
    assert await read_mark(bus, ROUTER) == Mark(0, info.created)
    await ask(bus)
    await keep_mark(bus, ROUTER, Mark(1, info.created))
    assert (await read_mark(bus, ROUTER)).sequence == 1
    for wrong in (Mark(1, info.now), Mark(99, info.created)):
        await keep_mark(bus, ROUTER, wrong)
        assert (await read_mark(bus, ROUTER)).sequence == 0
    await bus.mailbox.request(f"$KV.marks.{ROUTER}", b"\xff")
    assert (await read_mark(bus, ROUTER)).sequence == 0


async def test_what_was_not_read_in_time_is_tried_again(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Reader(bus, OpenRuns(Limits())).reading(nobody_looks) as reading:
        await ask(bus)
        await reading.up_to(1)
        monkeypatch.setattr(reader, "LAG_SECONDS", 0.2)
        with pytest.raises(TryAgain, match="up to 1, not to 2"):
            await reading.up_to(2)


async def test_without_a_bus_entering_ends(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "SAY_SECONDS", 0.05)

    async def closes(
        bus: Bus, stream: str, *, after: int, filters: Sequence[str]
    ) -> AsyncIterator[list[StoredMessage]]:
        await bus.client.close()
        for _ in ():
            yield []

    monkeypatch.setattr(reader, "follow", closes)
    async with asyncio.timeout(10):
        with pytest.raises(BusUnavailable, match="was lost before the log was read"):
            async with Reader(bus, OpenRuns(Limits())).reading(nobody_looks):
                pass
