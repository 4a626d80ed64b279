"""What a process gives up before it runs somebody else's code (prctl(2), setrlimit(2))."""

import ctypes
import math
import os
import resource
import signal

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

_prctl = ctypes.CDLL(None, use_errno=True).prctl
_prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


def no_new_privileges() -> None:
    """No setuid program gives rights back; inherited by all descendants."""
    _set(PR_SET_NO_NEW_PRIVS, 1)


def adopt_orphans() -> None:
    """Descendants whose parent has ended become children of this process."""
    _set(PR_SET_CHILD_SUBREAPER, 1)


def hide_memory() -> None:
    """Other processes of the same user can no longer read this one's memory and environment, nor trace it.

    For the process that holds credentials.
    """
    _set(PR_SET_DUMPABLE, 0)


def die_with(parent: int, how: int = signal.SIGKILL) -> None:
    """Get a signal when the parent ends, also if it ended before this was asked."""
    _set(PR_SET_PDEATHSIG, how)
    if os.getppid() != parent:
        os._exit(0)


def enter_call(zygote: int, limits: list[tuple[int, int]], seconds: float) -> None:
    """The state in which a tool runs: own process group, bounded, and gone when its zygote is.

    Should nobody be there to keep the time-out, the kernel ends what still computes.
    """
    os.setpgid(0, 0)
    die_with(zygote)
    for kind, value in limits:
        resource.setrlimit(kind, (value, value))
    cpu = math.ceil(seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))


def _set(option: int, value: int) -> None:
    if _prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), f"prctl {option}")
