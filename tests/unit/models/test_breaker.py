"""A provider that keeps failing is left alone, then asked once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
import structlog

from trunkline.contracts.errors import CircuitOpen, ModelFailed
from trunkline.models.breaker import Breaker, BreakerSettings

LIMITS = BreakerSettings(failures=3, window=30.0, pause=10.0)


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("house", LIMITS, clock=clock)


def fail(breaker: Breaker, *, retryable: bool = True) -> None:
    with pytest.raises(ModelFailed) as caught, breaker.guarding("house:m"):
        raise ModelFailed("busy", retryable=retryable)
    assert not isinstance(caught.value, CircuitOpen)


def succeed(breaker: Breaker) -> None:
    with breaker.guarding("house:m"):
        pass


def refused(breaker: Breaker) -> CircuitOpen:
    with pytest.raises(CircuitOpen) as caught, breaker.guarding("house:m"):
        pytest.fail("it was asked")
    return caught.value


def opened(breaker: Breaker) -> Breaker:
    for _ in range(LIMITS.failures):
        fail(breaker)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row(breaker: Breaker) -> None:
    for _ in range(LIMITS.failures):
        succeed(breaker)
        fail(breaker)
    assert breaker.trouble == ""
    fail(breaker)
    fail(breaker)
    assert breaker.trouble == "house is not asked for another 10 s: it failed 3 times in a row."


def test_an_open_one_says_how_long(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now += 4
    error = refused(breaker)
    assert error.what == "house:m was not asked: house is not asked for another 6 s: it failed 3 times in a row."
    assert error.hint.startswith("Ask again in 6 s")
    assert error.data == {"retryable": False, "spent": False, "retry_after": 6.0}
    assert error.code == "circuit_open"


def test_failures_that_lie_far_apart_do_not_count_together(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3 * LIMITS.failures):
        fail(breaker)
        clock.now += LIMITS.window * 0.6
    assert breaker.trouble == ""


def test_a_refused_request_is_an_answer(breaker: Breaker) -> None:
    """The provider is there; it is the request that is wrong."""
    for _ in range(3 * LIMITS.failures):
        fail(breaker)
        fail(breaker, retryable=False)
    assert breaker.trouble == ""


@pytest.mark.parametrize("error", [asyncio.CancelledError(), LookupError("the watcher's")])
def test_what_is_not_the_providers_fault_says_nothing(breaker: Breaker, error: BaseException) -> None:
    fail(breaker)
    fail(breaker)
    for _ in range(LIMITS.failures):
        with pytest.raises(type(error)), breaker.guarding("house:m"):
            raise error
    assert breaker.trouble == ""
    fail(breaker)
    assert breaker.trouble


def test_after_the_pause_one_call_probes_and_the_others_wait(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now += LIMITS.pause
    with breaker.guarding("house:m"):
        assert refused(breaker).what.endswith("house is being tried again: it failed 3 times in a row.")
    succeed(breaker)
    assert breaker.trouble == ""
    fail(breaker)
    assert breaker.trouble == ""


def test_a_probe_that_fails_opens_it_again(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now += LIMITS.pause
    fail(breaker)
    assert refused(breaker).data["retry_after"] == LIMITS.pause


def test_a_probe_that_was_cancelled_leaves_room_for_another(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now += LIMITS.pause
    with pytest.raises(asyncio.CancelledError), breaker.guarding("house:m"):
        raise asyncio.CancelledError
    succeed(breaker)
    assert breaker.trouble == ""


@pytest.mark.parametrize("retryable", [True, False])
def test_calls_that_began_before_it_opened_change_nothing(breaker: Breaker, clock: Clock, retryable: bool) -> None:
    late = ModelFailed("late", retryable=retryable)
    call = breaker.guarding("house:m")
    call.__enter__()
    opened(breaker)
    clock.now += LIMITS.pause / 2
    assert not call.__exit__(ModelFailed, late, None)
    assert refused(breaker).data["retry_after"] == LIMITS.pause / 2


def test_each_change_is_a_line_in_the_log(breaker: Breaker, clock: Clock) -> None:
    with structlog.testing.capture_logs() as lines:
        opened(breaker)
        clock.now += LIMITS.pause
        succeed(breaker)
    assert [line["action"] for line in lines] == ["breaker_opened", "breaker_half_open", "breaker_closed"]
    assert {line["provider"] for line in lines} == {"house"}
