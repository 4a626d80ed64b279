"""The second line behind pytest-timeout: a test that does not end even then is ended with its process.

pytest-timeout raises from a signal in whatever runs at that moment. An `except BaseException`, or the event loop on
behalf of a callback, may swallow it, and it comes once. So a thread that needs no interpreter (faulthandler) waits for
twice that long in each of setup, call and teardown; then it prints what every thread does, and leaves. pytest-xdist
reports a crashed worker with the test's name as a failure, starts another worker, and goes on.
"""

from __future__ import annotations

import faulthandler
import os

import pytest

STDERR = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STDERR] = os.dup(2)  # while a test runs, 2 is a file of pytest's that is gone with the process


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(config.stash[STDERR])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    _watch(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    _watch(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    _watch(item)


def pytest_runtest_logfinish() -> None:
    faulthandler.cancel_dump_traceback_later()


def _watch(item: pytest.Item) -> None:
    """From now on; pytest itself calls this off for a debugger, and after each failure."""
    marker = item.get_closest_marker("timeout")
    asked = item.config.getoption("timeout")  # 0 is for somebody who looks at a hung test
    seconds = float(marker.args[0] if marker else item.config.getini("timeout") if asked is None else asked)
    if seconds and asked != 0:
        faulthandler.dump_traceback_later(2 * seconds, file=item.config.stash[STDERR], exit=True)
