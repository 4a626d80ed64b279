"""A test that swallows its time-out ends all the same, and the run says which test it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ("xdist", "pytest_timeout", "tests.hung")
TESTS = """
import contextlib, time, pytest

def test_before():
    pass

@pytest.mark.timeout(1)
def test_swallows():
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(1)

def test_after():
    pass
"""


@pytest.mark.timeout(240)
def test_a_hung_test_is_named_and_the_others_run(tmp_path: Path) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(TESTS)
    plugins = [word for name in PLUGINS for word in ("-p", name)]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-n1", "--timeout=60", "--rootdir", str(tmp_path), str(file)],
        cwd=ROOT,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "crashed while running 'test_it.py::test_swallows'" in ended.stdout
    assert "1 failed, 2 passed" in ended.stdout
    assert "in test_swallows" in ended.stderr
