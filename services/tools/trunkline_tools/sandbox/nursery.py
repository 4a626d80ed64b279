"""The zygote's loop: a child is forked for each call. One thread, which never waits for a child."""

import os
import select
import signal
import time
from collections.abc import Mapping

from trunkline.tool import Tool
from trunkline_tools.sandbox import frames, leftovers
from trunkline_tools.sandbox.child import Child
from trunkline_tools.sandbox.forks import Forks
from trunkline_tools.sandbox.limits import Limits

TICK = 0.02
CHUNK = 256 * 1024
PATIENCE = 2.0


class Nursery:
    """`line` is the socket to the executor, by its descriptor: modules that are not loaded are not forked."""

    def __init__(self, line: int, tools: Mapping[str, Tool], limits: Limits, home: str) -> None:
        self._line = line
        self._limits = limits
        self._frames = frames.Frames(frames.LONGEST_ORDER)
        self._living: dict[int, Child] = {}
        self._open = True
        self._next_tick = 0.0
        self._some_ended = False
        self._children = leftovers.Children()
        self._not_ours = set(self._children.pids())
        self._wake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._forks = Forks(tools, limits, home, [line, self._wake, wake, self._children.fd])
        self._poll = select.poll()
        self._poll.register(line, select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, _wake_only)
        signal.signal(signal.SIGTERM, _wake_only)

    def serve(self) -> None:
        """Until the executor hangs up or dies; then end everything that still runs."""
        while self._open:
            busy = self._living or self._some_ended
            for fd, _ in self._poll.poll(TICK * 1000 if busy else None):
                if fd == self._wake:
                    self._on_signal()
                else:
                    self._hear()
            now = time.monotonic()
            if now >= self._next_tick:
                self._next_tick = now + TICK
                self._tick(now)
        self._children.end_all(PATIENCE)

    def _hear(self) -> None:
        try:
            data = os.read(self._line, CHUNK)
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
        try:
            child = self._forks.fork(call, order, self._living.values())
        except OSError as error:
            self._tell(call, frames.Ending(error.errno or 0, frames.NOT_STARTED, 0, 0, 0, 0, b"", b""))
        else:
            self._living[child.pid] = child

    def _cancel(self, call: int) -> None:
        for child in self._living.values():
            if child.call == call:
                child.end(frames.CANCELLED)

    def _on_signal(self) -> None:
        if signal.SIGTERM in os.read(self._wake, 4096):
            self._open = False
        while (pid := _dead_child()) is not None:
            child = self._living.pop(pid, None)
            if child is not None:
                leftovers.kill_group(pid)  # before it is reaped, so that its number is still its own
            _, status, usage = os.wait4(pid, 0)
            self._forks.folders.cleaners.discard(pid)
            if child is not None:
                self._some_ended = True
                self._tell(child.call, child.post_mortem(status, usage, self._limits))
                self._forks.folders.give_back(child.folder)

    def _tick(self, now: float) -> None:
        for child in self._living.values():
            child.look_at_clock(now, self._limits)
        if self._some_ended:
            self._some_ended = False
            self._kill_escaped()

    def _kill_escaped(self) -> None:
        """Adopted children that no living call's group holds."""
        for pid in self._children.pids():
            if pid in self._living or pid in self._forks.folders.cleaners or pid in self._not_ours:
                continue
            try:
                group = os.getpgid(pid)
            except ProcessLookupError:
                continue
            if group not in self._living:
                leftovers.kill(pid)

    def _tell(self, call: int, ending: frames.Ending) -> None:
        try:
            frames.send(self._line, frames.DONE, call, frames.pack_ending(ending))
        except ConnectionError:
            self._open = False


def _dead_child() -> int | None:
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return None
    return found.si_pid if found else None


def _wake_only(_signal: int, _frame: object) -> None:
    """The wake-up descriptor says the rest."""
