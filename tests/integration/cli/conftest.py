"""The `trunkline` binary as a user runs it, against a real platform."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.platform import Platform

BINARY = Path(sys.executable).parent / "trunkline"
SHOP = Path(__file__).parent / "shop.py"


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # any JSON value
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:  # any JSON values
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Trunkline:
    """Call it with the words of a command line."""

    env: Mapping[str, str]

    def __call__(self, *words: str, stdin: str = "", **env: str) -> Ended:
        ended = subprocess.run(
            [str(BINARY), *words],
            env={**self.env, **env},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert "Traceback" not in ended.stderr
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    @contextlib.contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """The command as it runs; with the block it has ended."""
        pipe = subprocess.PIPE
        with subprocess.Popen([str(BINARY), *words], env=self.env, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """All services, with the shop's agents and tools."""
    made = Platform(tmp_path_factory.mktemp("platform"), SHOP)
    try:
        asyncio.run(made.start())
        yield made
    finally:
        asyncio.run(made.stop())


@pytest.fixture
def trunkline(platform: Platform) -> Trunkline:
    """The command line, with NATS_URL set to the platform's bus."""
    return Trunkline(platform.env)
