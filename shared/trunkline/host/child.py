"""One child process: the leader of its own process group, heard line by line, gone when we are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from trunkline.host.parent_death import die_with_parent

CHUNK = 64 * 1024
LONGEST_LINE = 1024 * 1024
LAST_WORDS_SECONDS = 1.0


class Child:
    """Start it with `await Child.start(...)`; `wait` must be awaited to its end."""

    def __init__(self, process: Process, hear: Callable[[bytes], None]) -> None:
        self._process = process
        self._hearing = asyncio.create_task(self._listen(hear), name=f"output of {process.pid}")

    @classmethod
    async def start(
        cls, command: Sequence[str], environment: Mapping[str, str], hear: Callable[[bytes], None]
    ) -> Child:
        """`hear` gets each line of its output, stdout and stderr alike, without the line's end."""
        process = await asyncio.create_subprocess_exec(
            *command,
            env=dict(environment),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
        return cls(process, hear)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        """The exit code (negative: the signal), once nothing of its group runs and its output has been heard."""
        code = await self._process.wait()
        self.kill()
        await asyncio.wait([self._hearing], timeout=LAST_WORDS_SECONDS)
        self._hearing.cancel()
        return code

    def terminate(self) -> None:
        """Ask it to finish what it does and leave."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the whole group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _listen(self, hear: Callable[[bytes], None]) -> None:
        if self._process.stdout is not None:
            async for line in _lines(self._process.stdout):
                hear(line)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length; one that is longer than LONGEST_LINE comes in parts."""
    rest = b""
    while chunk := await stream.read(CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.rstrip(b"\r")
        if len(rest) > LONGEST_LINE:
            yield rest
            rest = b""
    if rest:
        yield rest
