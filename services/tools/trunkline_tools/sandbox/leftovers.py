"""Ends what a call leaves behind: its process group, what escaped from the group, a dead zygote's session."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path


def kill_group(leader: int) -> None:
    """`leader` may be a zombie, or so young that it leads no group yet."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        kill(leader)


def kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


class Children:
    """The children of this single-threaded process, adopted ones too (proc(5), `children`)."""

    def __init__(self) -> None:
        me = os.getpid()
        self.fd = os.open(f"/proc/self/task/{me}/children", os.O_RDONLY | os.O_CLOEXEC)

    def pids(self) -> list[int]:
        return [int(pid) for pid in os.pread(self.fd, 1 << 20, 0).split()]

    def end_all(self, patience: float) -> None:
        """Kill and reap, again and again: the death of one may bring its children. `patience` in seconds."""
        give_up = time.monotonic() + patience
        while time.monotonic() < give_up:
            for pid in self.pids():
                kill_group(pid)
                kill(pid)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.001)


def kill_session(leader: int) -> None:
    """Every process of a session whose leader has died."""
    while pids := [pid for pid in _processes() if _session(pid) == leader]:
        for pid in pids:
            kill(pid)


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _session(pid: int) -> int:
    """0 for a process that is gone or a zombie, which only its parent can remove."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    state, _, _, session = stat[stat.rindex(b")") + 2 :].split()[:4]
    return 0 if state in {b"Z", b"X"} else int(session)
