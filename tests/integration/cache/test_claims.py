"""Across processes, too, it is made once; and nobody waits for the dead."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from decimal import Decimal

import pytest

from tests.conftest import wait_until
from tests.integration.cache.conftest import MIB
from trunkline.bus import Bus
from trunkline.bus.bucket import Bucket
from trunkline.bus.claims import Claim, Claims, Held, Waiting
from trunkline.cache import BusStore, Cache, Entry, MemoryStore, Served, SingleFlight, cache_key
from trunkline.contracts.codec import encode
from trunkline.contracts.errors import CallerMistake, InvalidQuestion, TryAgain
from trunkline.host.server import EmbeddedServer

KEY = cache_key(["question"], tenant="main", user=None)
ENTRY = Entry(b"answer", Decimal("0.0042"))
NEVER = 3600.0
"""Seconds until a claim expires, where it must not."""

OTHER_PROCESS = """
import asyncio, sys
from trunkline.bus import Bus
from trunkline.bus.bucket import Bucket
from trunkline.bus.claims import Claims
from trunkline.cache import BusStore, Cache, Entry, SingleFlight

async def make():
    print("making", flush=True)
    if sys.argv[3] == "hang":
        await asyncio.sleep(3600)
    return Entry(b"by another process")

async def main():
    async with Bus.open(sys.argv[1]) as bus:
        bucket = Bucket(bus, "cache", max_bytes=2**23)
        flight = SingleFlight(Cache(BusStore(bucket)), Claims(bucket, expiry=4))
        served = await flight(sys.argv[2], make, 60)
        print(served.entry.value.decode(), flush=True)

asyncio.run(main())
"""


class Makers:
    """Replicas with connections of their own, each with a memory of its own; `calls` counts what they make."""

    def __init__(self, flights: list[SingleFlight]) -> None:
        self.flights = flights
        self.calls: Counter[int] = Counter()
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def make(self, replica: int) -> Entry:
        self.calls[replica] += 1
        await self.go.wait()
        if self.error:
            raise self.error
        return ENTRY

    def ask(self, replica: int) -> asyncio.Task[Served]:
        return asyncio.create_task(self.flights[replica](KEY, lambda: self.make(replica), 60))

    async def all_wait(self, asking: int) -> None:
        """Until a call is being made, and everybody has found that out."""
        await wait_until(lambda: self.calls.total() > 0, "a call")
        waiting = [task for task in asyncio.all_tasks() if task.get_name() == f"cache {KEY}"]
        assert len(waiting) == asking


Open = Callable[[float], "contextlib.AbstractAsyncContextManager[Makers]"]


@pytest.fixture
def replicas(server: EmbeddedServer) -> Open:
    @contextlib.asynccontextmanager
    async def opened(expiry: float) -> AsyncIterator[Makers]:
        async with contextlib.AsyncExitStack() as stack:
            buses = [await stack.enter_async_context(Bus.open(server.url)) for _ in range(3)]
            buckets = [Bucket(bus, "cache", max_bytes=8 * MIB, wait=5) for bus in buses]
            caches = [Cache(MemoryStore()) for _ in buses]
            for cache in caches:
                stack.push_async_callback(cache.close)
            flights = [
                SingleFlight(cache, Claims(bucket, expiry=expiry))
                for cache, bucket in zip(caches, buckets, strict=True)
            ]
            yield Makers(flights)

    return opened


async def test_of_three_replicas_one_makes_it_and_all_have_it(replicas: Open) -> None:
    async with replicas(NEVER) as makers:
        asking = [makers.ask(number % 3) for number in range(99)]
        await makers.all_wait(3)
        makers.go.set()
        served = await asyncio.gather(*asking)
        assert makers.calls.total() == 1
        assert {each.entry for each in served} == {ENTRY}
        assert sum(each.made for each in served) == 1


async def test_an_error_is_the_same_for_those_in_other_processes(replicas: Open) -> None:
    async with replicas(NEVER) as makers:
        makers.error = InvalidQuestion("It is too long.", "Ask a shorter one.")
        asking = [makers.ask(number) for number in range(3)]
        await makers.all_wait(3)
        await asyncio.sleep(0.3)  # so that the others have begun to wait; nothing can be seen of it
        makers.go.set()
        errors = await asyncio.gather(*asking, return_exceptions=True)
        assert [str(error) for error in errors] == ["It is too long. Ask a shorter one."] * 3
        assert all(isinstance(error, CallerMistake) for error in errors)
        assert makers.calls.total() == 1
        makers.error = None
        assert (await makers.ask(0)).made


async def test_whoever_is_slow_is_not_dead(replicas: Open) -> None:
    async with replicas(4.0) as makers:
        asking = [makers.ask(number) for number in range(3)]
        await makers.all_wait(3)
        done, _ = await asyncio.wait(asking, timeout=6.0)
        assert not done
        makers.go.set()
        await asyncio.gather(*asking)
        assert makers.calls.total() == 1


async def test_whoever_is_cancelled_leaves_it_to_the_others(replicas: Open) -> None:
    async with replicas(NEVER) as makers:
        first = makers.ask(0)
        await makers.all_wait(1)
        second = makers.ask(1)
        first.cancel()
        await wait_until(lambda: makers.calls[1] == 1, "the second one's call")
        makers.go.set()
        assert (await second).made


async def test_what_failed_before_somebody_asked_is_tried_again(bucket: Bucket) -> None:
    claims = Claims(bucket, expiry=NEVER)
    held = await claims.claim(KEY)
    assert isinstance(held, Held)
    await held.failed(TryAgain("It failed."))
    waiting = await claims.claim(KEY)
    assert isinstance(waiting, Waiting)
    assert isinstance(await waiting.turn(), Held)


async def test_of_two_who_take_over_one_does(bucket: Bucket) -> None:
    claims = Claims(bucket, expiry=3)
    assert isinstance(await claims.claim(KEY), Held)
    found = [await claims.claim(KEY) for _ in range(5)]
    turns = [asyncio.create_task(waiting.turn()) for waiting in found if isinstance(waiting, Waiting)]
    assert len(turns) == 5
    done, _ = await asyncio.wait(turns, return_when=asyncio.FIRST_COMPLETED)
    held = [task.result() for task in done]
    assert len(held) == 1
    assert isinstance(held[0], Held)
    await held[0].made(b"value")
    outcomes = await asyncio.gather(*(task for task in turns if task not in done))
    assert {outcome.value for outcome in outcomes if not isinstance(outcome, Held)} == {b"value"}
    assert len(outcomes) == 4


async def test_a_lost_acknowledgement_does_not_lose_the_claim(bucket: Bucket) -> None:
    claims = Claims(bucket, expiry=NEVER)
    held = await claims.claim(KEY)
    assert isinstance(held, Held)
    held._sequence -= 1  # as if that put had not been heard of
    await held.made(b"value")
    waiting = await claims.claim(KEY)
    assert isinstance(waiting, Waiting)
    outcome = await waiting.turn()
    assert not isinstance(outcome, Held)
    assert outcome.value == b"value"


async def test_who_waits_goes_by_its_own_clock(bucket: Bucket) -> None:
    """However long the server may keep the claim of a dead holder."""
    await bucket.put(f"claim.{KEY}", encode(Claim("held", "somebody dead")), 600)
    waiting = await Claims(bucket, expiry=0.5).claim(KEY)
    assert isinstance(waiting, Waiting)
    assert isinstance(await waiting.turn(), Held)


async def test_an_error_is_found_when_no_hint_came_through(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = Claims(bucket, expiry=NEVER)
    held = await claims.claim(KEY)
    waiting = await claims.claim(KEY)
    assert isinstance(held, Held)
    assert isinstance(waiting, Waiting)
    monkeypatch.setattr(Bucket, "watching", lambda *_: contextlib.nullcontext())
    turn = asyncio.create_task(waiting.turn())
    await wait_until(lambda: waiting._at_work, "a look at the claim")
    await held.failed(TryAgain("It failed."))
    outcome = await turn
    assert isinstance(outcome, Claim)
    assert str(outcome.error) == "It failed."


async def test_when_the_bus_goes_away_nobody_waits_on(server: EmbeddedServer, bucket: Bucket) -> None:
    held = await Claims(bucket, expiry=NEVER).claim(KEY)
    assert isinstance(held, Held)
    cache = Cache(MemoryStore())
    flight = SingleFlight(cache, Claims(bucket, expiry=NEVER))

    async def make() -> Entry:
        return ENTRY

    asking = asyncio.create_task(flight(KEY, make, 60))
    done, _ = await asyncio.wait([asking], timeout=1.0)
    assert not done
    await server.stop(kill=True)
    assert (await asking).made
    await cache.close()


async def test_a_maker_that_is_killed_holds_nobody_up(server: EmbeddedServer, bucket: Bucket) -> None:
    flight = SingleFlight(Cache(BusStore(bucket)), Claims(bucket, expiry=4))
    command = [sys.executable, "-c", OTHER_PROCESS, server.url, KEY, "hang"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:  # noqa: ASYNC220  # returns at once
        assert other.stdout
        assert await asyncio.to_thread(other.stdout.readline) == b"making\n"
        made = asyncio.Event()

        async def make() -> Entry:
            made.set()
            return ENTRY

        asking = asyncio.create_task(flight(KEY, make, 60))
        done, _ = await asyncio.wait([asking], timeout=6.0)
        assert not done
        assert not made.is_set()
        other.kill()
        assert (await asking).made


async def test_another_process_that_has_made_it_saves_us_the_call(server: EmbeddedServer, bucket: Bucket) -> None:
    command = [sys.executable, "-c", OTHER_PROCESS, server.url, KEY, "go"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines() == ["making", "by another process"]
    flight = SingleFlight(Cache(BusStore(bucket)), Claims(bucket))

    async def make() -> Entry:
        pytest.fail("it was made again")

    assert (await flight(KEY, make, 60)).entry.value == b"by another process"
