"""Starts and ends a zygote: a clean interpreter, a clean environment, one socket."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, Process
from dataclasses import asdict, dataclass
from pathlib import Path

from trunkline_tools.sandbox import leftovers
from trunkline_tools.sandbox.limits import MIB, Limits
from trunkline_tools.sandbox.link import Link

PASSED_ON = ("PATH", "LANG")
GOODBYE_SECONDS = 3.0
STDERR = "stderr.txt"
BOOT = """
import json, os, sys
del os.environ["LD_BIND_NOW"]
config = json.loads(sys.argv[1])
sys.path[:] = config.pop("sys_path")
from trunkline_tools.sandbox.zygote_process import main
main(config)
"""


@dataclass(frozen=True, slots=True)
class Spawned:
    process: Process
    link: Link
    home: Path

    def last_words(self) -> str:
        try:
            text = (self.home / STDERR).read_text(errors="replace").strip()
        except OSError:
            return ""
        return text[-500:]


async def spawn(path: Path, limits: Limits) -> Spawned:
    """The zygote leads a session of its own, and has a folder of its own, which `stop` removes."""
    ours, theirs = socket.socketpair()
    home = Path(tempfile.mkdtemp(prefix="trunkline-"))
    with theirs, (home / STDERR).open("wb") as stderr:
        config = {
            "sys_path": _search_path(),
            "path": str(path),
            "socket": theirs.fileno(),
            "executor": os.getpid(),
            "home": str(home),
            "limits": asdict(limits),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-X", "utf8", "-c", BOOT, json.dumps(config)),
            env=_clean_environment(home),
            cwd=home,
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=stderr,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    longest = limits.reply_bytes + MIB
    _, link = await asyncio.get_running_loop().create_unix_connection(lambda: Link(longest), sock=ours)
    return Spawned(process, link, home)


async def stop(spawned: Spawned) -> str:
    """Hang up, wait, then kill; no process of its session survives. Says how the zygote ended."""
    spawned.link.hang_up()
    try:
        async with asyncio.timeout(GOODBYE_SECONDS):
            code = await spawned.process.wait()
    except TimeoutError:
        spawned.process.kill()
        code = await spawned.process.wait()
    await asyncio.to_thread(leftovers.kill_session, spawned.process.pid)
    await asyncio.to_thread(shutil.rmtree, spawned.home, ignore_errors=True)
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _search_path() -> list[str]:
    """Where this interpreter finds modules, without the current folder."""
    return [str(Path(each).absolute()) for each in sys.path if each]


def _clean_environment(home: Path) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}  # noqa: TID251  # what is not passed on
    # Looking for pydantic plugins would import a third more than the zygote needs, and each fork copies its pages.
    # What the loader left for later would be looked up again in each fork.
    return passed | {
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYDANTIC_DISABLE_PLUGINS": "__all__",
        "LD_BIND_NOW": "1",
    }
