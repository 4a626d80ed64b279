"""A Redis or Valkey server of the test's own making, on loopback; ended and frozen by its pid."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
from pathlib import Path

from trunkline.host.parent_death import die_with_parent
from trunkline.host.server import free_port

START_SECONDS = 40.0


def find_redis() -> str | None:
    return shutil.which("valkey-server") or shutil.which("redis-server")


class RedisServer:
    """It keeps nothing on disk, and ends with the test process."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Returns when it answers."""
        program = find_redis()
        assert program, "there is neither valkey-server nor redis-server"
        command = [program, "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(  # noqa: ASYNC220  # returns at once
            command,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent(),  # noqa: PLW1509  # it only asks the kernel, and takes no lock
        )
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while not await self._answers():
            assert self._process.poll() is None, "redis-server left at once"
            assert asyncio.get_running_loop().time() < deadline, "redis-server does not answer"
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """As a crash would. May be called again."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    def freeze(self) -> None:
        """It stands still, with all its connections open."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        try:
            writer.write(b"PING\r\n")
            async with asyncio.timeout(1):
                return (await reader.readline()).startswith(b"+PONG")
        except (OSError, TimeoutError):
            return False
        finally:
            writer.close()
