"""The tool service is killed (kill -9) between `started` and result; what a tool declares decides what is done then.

Law 5, with the effects counted in a file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.integration.tools.calls import OneCall, effects
from tests.platform import Platform
from trunkline.bus import Bus

FILE = Path(__file__).with_name("charging.py")
CASES = ("look", "put", "charge done", "charge not_done", "charge retry", "pay", "prepare", "guess")


@dataclass(frozen=True)
class Left:
    """A call that was under way when its executor was killed."""

    tool: str
    call: OneCall
    book: Path

    def effects(self) -> int:
        return len(effects(self.book))


@dataclass(frozen=True)
class Aftermath:
    """The platform, with another tool service in the place of the one that was killed."""

    platform: Platform
    keys: dict[str, tuple[str, Any, dict[str, Any]]]


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    folder = tmp_path_factory.mktemp("killed")
    platform = Platform(folder, FILE, services=("tools",), env={"TRUNKLINE_ACK_WAIT": "1"})
    try:
        yield asyncio.run(_killed(platform, folder))
    finally:
        asyncio.run(platform.stop())


async def _killed(platform: Platform, folder: Path) -> Aftermath:
    await platform.start()
    async with Bus.open(platform.url) as bus:
        keys = {}
        for case in CASES:
            tool = case.split()[0]
            place = folder / case.replace(" ", "-")
            call = OneCall(bus, tool, {"book": f"{place}.book", "gate": f"{place}.gate"})
            await call.issue()
            keys[case] = (tool, call.key, call.arguments)
        reached = [Path(f"{arguments['gate']}.reached") for _, _, arguments in keys.values()]
        await wait_until(lambda: all(path.exists() for path in reached), "every tool is in the middle", seconds=60)
    await platform.kill("tools")
    for path in reached:
        path.with_suffix("").touch()  # the gate
    await platform.restart("tools")
    return Aftermath(platform, keys)


@pytest.fixture
async def bus(aftermath: Aftermath) -> AsyncIterator[Bus]:
    async with Bus.open(aftermath.platform.url) as opened:
        yield opened


def left(aftermath: Aftermath, bus: Bus, case: str) -> Left:
    tool, key, arguments = aftermath.keys[case]
    return Left(tool, OneCall(bus, tool, arguments, key), Path(arguments["book"]))


@pytest.mark.parametrize("case", ["look", "put"])
async def test_what_may_be_repeated_is_run_again_with_the_same_call_id(
    aftermath: Aftermath, bus: Bus, case: str
) -> None:
    call = left(aftermath, bus, case)
    assert (await call.call.result()).value == "done"
    assert effects(call.book) == [f"{call.call.key.run}-1"] * 2
    assert await call.call.attempts() == []


async def test_an_effect_that_reconcile_finds_is_not_repeated(aftermath: Aftermath, bus: Bus) -> None:
    paid = left(aftermath, bus, "pay")
    assert (await paid.call.result()).value == "found in the book"
    assert paid.effects() == 1
    assert await paid.call.attempts() == [1]
    assert await paid.call.notes("reconciled") == [{"tool": "pay", "attempt": 1, "done": True}]


async def test_an_effect_that_reconcile_misses_is_made_once(aftermath: Aftermath, bus: Bus) -> None:
    prepared = left(aftermath, bus, "prepare")
    assert (await prepared.call.result(60)).value == "prepared"
    assert prepared.effects() == 1
    assert await prepared.call.attempts() == [1, 2]
    assert await prepared.call.notes("reconciled") == [{"tool": "prepare", "attempt": 1, "done": False}]


async def test_a_reconcile_function_that_cannot_tell_leaves_it_to_a_person(aftermath: Aftermath, bus: Bus) -> None:
    guess = left(aftermath, bus, "guess")
    assert (await guess.call.asked()).reason == "in_doubt"
    await guess.call.decide("done", doubt=1, value="it was")
    assert (await guess.call.result()).value == "it was"
    assert guess.effects() == 1


@pytest.mark.parametrize(
    ("verdict", "value", "error", "made", "attempts"),
    [("done", "booked", "", 1, [1]), ("not_done", None, "not_done", 1, [1]), ("retry", "done", "", 2, [1, 2])],
)
@pytest.mark.timeout(240)
async def test_without_reconcile_a_person_decides(
    aftermath: Aftermath, bus: Bus, verdict: str, value: str | None, error: str, made: int, attempts: list[int]
) -> None:
    charge = left(aftermath, bus, f"charge {verdict}")
    asked = await charge.call.asked()
    assert (asked.reason, asked.agent, asked.arguments) == ("in_doubt", "clerk", charge.call.arguments)
    assert await charge.call.of(type(asked)) == [asked]
    assert charge.effects() == 1
    await charge.call.decide(verdict, doubt=1, value=value if verdict == "done" else None)
    result = await charge.call.result(60)
    assert (result.value, result.error.code if result.error else "") == (value, error)
    assert charge.effects() == made
    assert await charge.call.attempts() == attempts
