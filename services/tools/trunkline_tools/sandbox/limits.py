"""How much one call may use."""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one call. `memory_bytes` is address space on top of what the imported file itself takes."""

    memory_bytes: int = 512 * MIB
    file_bytes: int = 64 * MIB
    open_files: int = 256
    processes: int = 4096
    output_bytes: int = MIB
    reply_bytes: int = MIB
    reply_depth: int = 64


def kernel_limits(limits: Limits) -> list[tuple[int, int]]:
    """What `setrlimit` shall be told in each call, never above what this process itself may have.

    `processes` counts all that the user runs, not only this call's: it stops a fork bomb, it is no fair share.
    """
    wanted = [
        (resource.RLIMIT_AS, limits.memory_bytes + _address_space()),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, max(limits.file_bytes, limits.reply_bytes + 1)),  # the reply is a file, too
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_NPROC, limits.processes),
    ]
    return [(kind, _allowed(kind, value)) for kind, value in wanted]


def _allowed(kind: int, value: int) -> int:
    _, hard = resource.getrlimit(kind)
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")
