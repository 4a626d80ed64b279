"""The command line as somebody uses it: a process, what it says, Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

ENTRY = "from trunkline.cli import main; main()"
STRANGERS = ("NATS_URL", "TRUNKLINE_")


class Command:
    """One `trunkline …`, started in `folder`, with its output in a file."""

    def __init__(self, folder: Path, arguments: tuple[str, ...], environment: Mapping[str, str]) -> None:
        self._output = folder / f"output-{time.monotonic_ns()}.txt"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", ENTRY, *arguments],
                cwd=folder,
                env={name: value for name, value in os.environ.items() if not name.startswith(STRANGERS)}
                | dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._family: dict[int, psutil.Process] = {}

    @property
    def said(self) -> str:
        return self._output.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_said(self, text: str) -> bool:
        """Raises when it has ended without saying it, for it never will."""
        if text in self.said:
            return True
        if self._process.poll() is not None and text not in self.said:
            raise AssertionError(f"it left with exit code {self._process.returncode} and said:\n{self.said}")
        return False

    def running(self) -> bool:
        return self._process.poll() is None

    def family(self) -> list[psutil.Process]:
        """It and all that it has started, as far as they live."""
        with contextlib.suppress(psutil.NoSuchProcess):
            me = psutil.Process(self._process.pid)
            self._family |= {each.pid: each for each in [me, *me.children(recursive=True)]}
        return [each for each in self._family.values() if _lives(each)]

    def child(self, word: str) -> psutil.Process:
        """The child that runs this program or module."""
        return next(each for each in self.family() if any(part.endswith(word) for part in each.cmdline()))

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.family()
        self._process.send_signal(signal.SIGINT)

    def wait(self, seconds: float = 30) -> int:
        return self._process.wait(seconds)

    def kill(self) -> None:
        for each in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        self._process.wait()


@contextlib.contextmanager
def trunkline(folder: Path, *arguments: str, **environment: str) -> Iterator[Command]:
    """`trunkline ARGUMENTS` while inside; whatever it has left behind is ended."""
    command = Command(folder, arguments, environment)
    try:
        yield command
    finally:
        command.kill()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
