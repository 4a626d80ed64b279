"""The zygote: has imported one definitions file, and forks once a call. One thread, no credentials, small."""

import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from resource import struct_rusage
from typing import Any

from trunkline.contracts.errors import BrokenFile, InvalidArguments
from trunkline.definitions import load_definitions
from trunkline.tool import Tool
from trunkline_tools.sandbox import frames, leftovers, lockdown
from trunkline_tools.sandbox.folders import Folder, Folders
from trunkline_tools.sandbox.limits import MIB, Limits, kernel_limits
from trunkline_tools.sandbox.zygote_child import Place, run_call

TICK = 0.02
TAIL_BYTES = 2048
CHUNK = 256 * 1024
LONGEST_ORDER = 16 * MIB
PATIENCE = 2.0


@dataclass(slots=True)
class Running:
    """A call that has been forked. Times are monotonic seconds."""

    call: int
    begun: float
    deadline: float
    place: Place
    folder: Folder
    cause: int = frames.UNTOUCHED


def main(config: dict[str, Any]) -> None:
    """`config`: `path`, `socket` (a file descriptor), `executor` (a process), `home`, `limits`."""
    lockdown.die_with(config["executor"], signal.SIGTERM)
    lockdown.no_new_privileges()
    lockdown.adopt_orphans()
    line = socket.socket(fileno=config["socket"])
    line.set_inheritable(False)
    sys.path.append(os.path.dirname(config["path"]))  # noqa: PTH120  # tools may import their neighbours late
    try:
        found = load_definitions(config["path"])
    except BrokenFile as error:
        told = {"message": error.what, "hint": error.hint, "data": error.data}
        line.sendall(frames.frame(frames.BROKEN, 0, json.dumps(told).encode()))
        return
    tools = {tool.name: tool for tool in found.tools}
    _warm(tools)
    ready = {"version": found.version, "tools": [tool.declaration() for tool in found.tools]}
    zygote = Zygote(line, tools, Limits(**config["limits"]), config["home"])
    line.sendall(frames.frame(frames.READY, 0, json.dumps(ready).encode()))
    zygote.serve()


def _warm(tools: Mapping[str, Tool]) -> None:
    """Whatever is imported or built on first use is built here, once, instead of in every child."""
    for tool in tools.values():
        with suppress(InvalidArguments):
            tool.validate({"": None})
        if tool.is_async:
            import asyncio

            asyncio.run(asyncio.sleep(0))
    gc.collect()
    gc.disable()
    gc.freeze()


class Zygote:
    def __init__(self, line: socket.socket, tools: Mapping[str, Tool], limits: Limits, home: str) -> None:
        self._line = line
        self._tools = tools
        self._limits = limits
        self._kernel_limits = kernel_limits(limits)
        self._running: dict[int, Running] = {}
        self._folders = Folders(home)
        self._frames = frames.Frames(LONGEST_ORDER)
        self._open = True
        self._next_tick = 0.0
        self._children = leftovers.Children()
        self._not_ours = set(self._children.pids())
        self._wake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(line, selectors.EVENT_READ, self._hear)
        self._selector.register(self._wake, selectors.EVENT_READ, self._on_signal)
        self._own_fds = [line.fileno(), self._wake, wake, self._children.fd, self._selector.fileno()]
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, _wake_only)
        signal.signal(signal.SIGTERM, _wake_only)

    def serve(self) -> None:
        """Until the executor hangs up or dies; then end everything that still runs."""
        while self._open:
            for key, _ in self._selector.select(TICK if self._running else None):
                key.data()
            if self._running and time.monotonic() >= self._next_tick:
                self._look_at_clocks()
        self._children.end_all(PATIENCE)

    def _hear(self) -> None:
        try:
            data = self._line.recv(CHUNK)
        except ConnectionError:
            data = b""
        if not data:
            self._open = False
        for kind, call, body in self._frames.feed(data):
            if kind == frames.CALL:
                self._begin(call, frames.unpack_order(body))
            elif kind == frames.CANCEL:
                self._cancel(call)

    def _begin(self, call: int, order: frames.Order) -> None:
        begun = time.monotonic()
        try:
            folder = self._folders.take()
            place = Place(folder.path, os.memfd_create("reply"), os.memfd_create("output"), self._foreign())
            pid = os.fork()
        except OSError as error:
            self._tell(call, frames.Ending(error.errno or 0, frames.NOT_STARTED, 0, 0, 0, 0, b"", b""))
            return
        if pid == 0:
            run_call(self._tools, order, place, os.getppid(), self._kernel_limits)
        self._running[pid] = Running(call, begun, begun + order.seconds, place, folder)

    def _foreign(self) -> list[int]:
        """What the child must close: the line to the executor, and other calls' files."""
        others = [fd for each in self._running.values() for fd in (each.place.reply, each.place.output)]
        return self._own_fds + others

    def _cancel(self, call: int) -> None:
        for pid, running in self._running.items():
            if running.call == call:
                self._end(pid, running, frames.CANCELLED)

    def _look_at_clocks(self) -> None:
        now = time.monotonic()
        self._next_tick = now + TICK
        for pid, running in self._running.items():
            if now >= running.deadline:
                self._end(pid, running, frames.TIMED_OUT)
            elif os.fstat(running.place.output).st_size > self._limits.output_bytes:
                self._end(pid, running, frames.FLOODED)

    def _end(self, pid: int, running: Running, cause: int) -> None:
        running.cause = running.cause or cause
        leftovers.kill_group(pid)

    def _on_signal(self) -> None:
        if signal.SIGTERM in os.read(self._wake, 4096):
            self._open = False
        ended = False
        while (pid := self._dead_child()) is not None:
            running = self._running.pop(pid, None)
            if running is not None:
                leftovers.kill_group(pid)  # before it is reaped, so that its number is still its own
                ended = True
            _, status, usage = os.wait4(pid, 0)
            self._folders.cleaners.discard(pid)
            if running is not None:
                self._finish(running, status, usage)
        if ended:
            self._kill_escaped()

    def _dead_child(self) -> int | None:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            return None
        return found.si_pid if found else None

    def _kill_escaped(self) -> None:
        """Adopted children that no living call's group holds."""
        for pid in self._children.pids():
            if pid in self._running or pid in self._folders.cleaners or pid in self._not_ours:
                continue
            try:
                group = os.getpgid(pid)
            except ProcessLookupError:
                continue
            if group not in self._running:
                leftovers.kill(pid)

    def _finish(self, running: Running, status: int, usage: struct_rusage) -> None:
        place = running.place
        output_bytes = os.fstat(place.output).st_size
        flooded = output_bytes > self._limits.output_bytes
        ending = frames.Ending(
            status=status,
            cause=running.cause or (frames.FLOODED if flooded else frames.UNTOUCHED),
            duration_us=int((time.monotonic() - running.begun) * 1e6),
            cpu_us=int((usage.ru_utime + usage.ru_stime) * 1e6),
            max_rss_kib=usage.ru_maxrss,
            output_bytes=output_bytes,
            reply=os.pread(place.reply, self._limits.reply_bytes + 1, 0),
            tail=os.pread(place.output, TAIL_BYTES, max(0, output_bytes - TAIL_BYTES)) if output_bytes else b"",
        )
        os.close(place.reply)
        os.close(place.output)
        self._tell(running.call, ending)
        self._folders.give_back(running.folder)

    def _tell(self, call: int, ending: frames.Ending) -> None:
        try:
            self._line.sendall(frames.frame(frames.DONE, call, frames.pack_ending(ending)))
        except ConnectionError:
            self._open = False


def _wake_only(_signal: int, _frame: object) -> None:
    """The wake-up descriptor says the rest."""
