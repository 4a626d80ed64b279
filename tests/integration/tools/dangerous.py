"""Tools that do all that a tool must not do."""

import asyncio
import ctypes
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from trunkline.tool import tool


class Invoice(BaseModel):
    number: int
    paid: bool = False


@dataclass
class Pair:
    left: int
    right: str


@tool
def add(a: int, b: int = 1) -> int:
    return a + b


@tool
async def later(text: str) -> str:
    await asyncio.sleep(0.001)
    return text


@tool
def pay(invoice: Invoice) -> tuple[Invoice, Pair]:
    return invoice.model_copy(update={"paid": True}), Pair(1, "x")


@tool
def say(text: str) -> str:
    sys.stdout.write(f"{text}\n")
    return text


@tool
def fail(text: str = "no such customer") -> None:
    sys.stdout.write("before the end\n")
    raise ValueError(text)


@tool
def hang(marker: str, children: int = 0) -> None:
    for _ in range(children):
        subprocess.Popen(["sleep", marker])
    time.sleep(1000)


@tool
def hang_stubbornly(marker: str) -> None:
    """Deaf to SIGTERM, as its child and its child's child are, and always writing something."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sh", "-c", f"trap '' TERM HUP INT; sleep {marker} & sleep {marker}"])
    while True:
        sys.stdout.write("still here\n")
        sys.stdout.flush()
        time.sleep(0.01)


@tool
async def hang_async() -> None:
    await asyncio.sleep(1000)


@tool
def spin() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        pass


@tool
def leave_children(marker: str) -> int:
    """One in its group, one in a session of its own, one whose parent has ended."""
    subprocess.Popen(["sleep", marker])
    subprocess.Popen(["sleep", marker], start_new_session=True)
    subprocess.run(["sh", "-c", f"setsid sleep {marker} &"], check=True)
    return os.getpid()


@tool
def flood() -> None:
    while True:
        sys.stdout.write("x" * 65536)


@tool
def flood_and_wait() -> None:
    os.write(1, b"x" * (2 << 20))
    time.sleep(1000)


@tool
def flood_from_child() -> None:
    subprocess.run(["yes"], check=False)


@tool
def huge(size: int) -> str:
    return "x" * size


@tool
def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@tool
def not_json(what: str) -> Any:
    return {"object": object(), "nan": math.nan, "bytes": b"\xff", "int": 1 << 70, "surrogate": "\ud800"}[what]


@tool
def exit_hard(code: int) -> None:
    os._exit(code)


@tool
def exit_soft(code: int) -> None:
    sys.exit(code)


@tool
def crash() -> None:
    ctypes.string_at(0)


@tool
def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@tool
def eat(mebibytes: int) -> int:
    return len(bytearray(mebibytes << 20))


@tool
def environment() -> dict[str, str]:
    return dict(os.environ)


@tool
def kernel_environment() -> str:
    """Its own environment and its zygote's, as the kernel keeps them."""
    return "".join(Path(f"/proc/{pid}/environ").read_text() for pid in (os.getpid(), os.getppid()))


@tool
def descriptors() -> list[str]:
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except OSError:
            continue
    return sorted(found)


@tool
def folder(leave: str = "") -> list[str]:
    """Where it works and what it finds there."""
    found = [path.name for path in Path().iterdir()]
    if leave:
        Path(leave).write_text("mine")
    return [str(Path.cwd()), str(Path(os.environ["TMPDIR"])), *found]


@tool
def limits() -> dict[str, int]:
    import resource

    names = ("AS", "CORE", "CPU", "FSIZE", "NOFILE", "NPROC")
    return {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0] for name in names}


@tool
def status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {"group": str(os.getpgid(0) == os.getpid())} | dict(line.split(":\t", 1) for line in lines if ":\t" in line)


@tool
def read_stdin() -> str:
    return sys.stdin.read()


@tool
def forge(fd_limit: int = 64) -> int:
    """Writes into every descriptor it has."""
    for fd in range(3, fd_limit):
        try:
            os.write(fd, json.dumps({"forged": True}).encode() * 10)
        except OSError:
            continue
    return 1


@tool
def write_file(size: int) -> int:
    return Path("big").write_bytes(b"x" * size)


@tool
def number_and_wait(number: int, seconds: float = 0.0) -> int:
    time.sleep(seconds)
    return number
