"""However many ask at once in one process, it is made once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from tests.conftest import wait_until
from trunkline.cache import Cache, Entry, MemoryStore, SingleFlight, cache_key
from trunkline.contracts.errors import ModelFailed, TryAgain

KEY = cache_key(["question"], tenant="main", user=None)
OTHER = cache_key(["another"], tenant="main", user=None)
MADE = Entry(b"answer", Decimal("0.0042"))


class Maker:
    """Makes when it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls = 0
        self.cancelled = 0
        self.go = asyncio.Event()
        self._error = error

    async def __call__(self) -> Entry:
        self.calls += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self._error:
            raise self._error
        return MADE


@pytest.fixture
async def flight() -> AsyncIterator[SingleFlight]:
    cache = Cache(MemoryStore())
    yield SingleFlight(cache)
    await cache.close()


async def test_a_hundred_misses_at_once_make_one_call(flight: SingleFlight) -> None:
    make = Maker()
    asking = [asyncio.create_task(flight(KEY, make, 60)) for _ in range(100)]
    await wait_until(lambda: make.calls > 0, "the call")
    make.go.set()
    served = await asyncio.gather(*asking)
    assert make.calls == 1
    assert {each.entry for each in served} == {MADE}
    assert sum(each.made for each in served) == 1
    assert not (await flight(KEY, make, 60)).made


async def test_different_things_are_made_side_by_side(flight: SingleFlight) -> None:
    first, second = Maker(), Maker()
    asking = [asyncio.create_task(flight(key, make, 60)) for key, make in ((KEY, first), (OTHER, second))]
    await wait_until(lambda: first.calls == second.calls == 1, "both calls")
    first.go.set()
    second.go.set()
    await asyncio.gather(*asking)


async def test_an_error_goes_to_all_who_wait_and_is_not_kept(flight: SingleFlight) -> None:
    make = Maker(ModelFailed("It failed."))
    asking = [asyncio.create_task(flight(KEY, make, 60)) for _ in range(10)]
    await wait_until(lambda: make.calls > 0, "the call")
    make.go.set()
    errors = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(error, ModelFailed) for error in errors)
    assert make.calls == 1
    good = Maker()
    good.go.set()
    assert (await flight(KEY, good, 60)).made


async def test_who_leaves_takes_nothing_from_the_others(flight: SingleFlight) -> None:
    make = Maker()
    first = asyncio.create_task(flight(KEY, make, 60))
    await wait_until(lambda: make.calls > 0, "the call")
    second = asyncio.create_task(flight(KEY, make, 60))
    await wait_until(lambda: flight._flights[KEY].waiting == 2, "the second one")
    first.cancel()
    make.go.set()
    assert (await second).entry == MADE
    assert make.cancelled == 0


async def test_a_call_that_nobody_waits_for_ends_and_the_next_one_begins_anew(flight: SingleFlight) -> None:
    make = Maker()
    asking = asyncio.create_task(flight(KEY, make, 60))
    await wait_until(lambda: make.calls > 0, "the call")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    again = Maker()
    again.go.set()
    assert (await flight(KEY, again, 60)).made
    assert make.cancelled == 1


async def test_a_call_that_is_cancelled_by_something_of_its_own_is_an_error(flight: SingleFlight) -> None:
    async def cancelled() -> Entry:
        raise asyncio.CancelledError

    with pytest.raises(TryAgain):
        await flight(KEY, cancelled, 60)
