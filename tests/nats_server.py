"""A nats-server of the test's own making: its address, its folder, its settings; ended and frozen by its pid."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from pathlib import Path

from trunkline.host.parent_death import die_with_parent
from trunkline.host.server import find_server, free_port

CONFIG = """\
listen: "{host}:{port}"
http: "127.0.0.1:{monitoring}"
server_name: {name}
max_payload: 1MB
jetstream {{
  store_dir: "{folder}"
  sync_interval: {sync}
  {storage}
}}
{more}
"""
START_SECONDS = 40.0


class NatsServer:
    """`storage` is added to the settings of JetStream, `more` to those of the server; `monitoring` is the port of its
    HTTP endpoints, on loopback. It ends with the test process.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "test",
        host: str = "127.0.0.1",
        sync: str = "always",
        storage: str = "",
        more: str = "",
    ) -> None:
        self.folder = folder
        self.name = name
        self.host = host
        self.port = free_port()
        self.monitoring = free_port()
        self.url = f"nats://{host}:{self.port}"
        self._sync = sync
        self._storage = storage
        self._more = more
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.folder / "nats.log").read_text(errors="replace")

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    async def start(self) -> None:
        """Returns when it takes connections."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "nats.conf"
        config.write_text(
            CONFIG.format(
                host=self.host,
                port=self.port,
                monitoring=self.monitoring,
                name=self.name,
                folder=self.folder / "jetstream",
                sync=self._sync,
                storage=self._storage,
                more=self._more,
            )
        )
        self._process = subprocess.Popen(  # noqa: ASYNC220  # returns at once
            [find_server(), "-c", str(config), "-l", str(self.folder / "nats.log")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509  # it only asks the kernel, and takes no lock
        )
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while not await self._greets():
            assert self.alive, f"{self.name} left at once:\n{self.log[-2000:]}"
            assert asyncio.get_running_loop().time() < deadline, f"{self.name} does not answer:\n{self.log[-2000:]}"
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """As an operator would; at once when it is frozen or takes too long. May be called again."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            await asyncio.to_thread(self._process.wait, 5)
        except subprocess.TimeoutExpired:
            await self.kill()

    async def kill(self) -> None:
        """As a crash would."""
        assert self._process
        self._process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self._process.wait)

    def freeze(self) -> None:
        """It stands still, with all its connections open."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    async def _greets(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            return False
        try:
            async with asyncio.timeout(1):
                return (await reader.readline()).startswith(b"INFO")
        except (OSError, TimeoutError):
            return False
        finally:
            writer.close()
