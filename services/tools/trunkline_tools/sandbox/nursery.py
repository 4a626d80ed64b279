"""The zygote's loop. A child is forked for each call, one ahead when there is time; one thread, which never waits."""

import os
import selectors
import signal
import socket
import time
from collections.abc import Mapping
from resource import struct_rusage

from trunkline.tool import Tool
from trunkline_tools.sandbox import frames, leftovers
from trunkline_tools.sandbox.child import Child, Forks
from trunkline_tools.sandbox.limits import Limits

TICK = 0.02
SPARES = 2
SPARE_PAUSE = 1.0
CHUNK = 256 * 1024
PATIENCE = 2.0


class Nursery:
    def __init__(self, line: socket.socket, tools: Mapping[str, Tool], limits: Limits, home: str) -> None:
        self._line = line
        self._limits = limits
        self._frames = frames.Frames(frames.LONGEST_ORDER)
        self._living: dict[int, Child] = {}
        self._spares: list[Child] = []
        self._open = True
        self._next_tick = 0.0
        self._no_spare_before = 0.0
        self._children = leftovers.Children()
        self._not_ours = set(self._children.pids())
        self._wake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(line, selectors.EVENT_READ, self._hear)
        self._selector.register(self._wake, selectors.EVENT_READ, self._on_signal)
        own = [line.fileno(), self._wake, wake, self._children.fd, self._selector.fileno()]
        self._forks = Forks(tools, limits, home, own)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, _wake_only)
        signal.signal(signal.SIGTERM, _wake_only)

    def serve(self) -> None:
        """Until the executor hangs up or dies; then end everything that still runs."""
        while self._open:
            events = self._selector.select(self._patience())
            for key, _ in events:
                key.data()
            if time.monotonic() >= self._next_tick:
                self._look_at_clocks()
            if not events and self._wants_spare():
                self._prepare_ahead()
        self._children.end_all(PATIENCE)

    def _patience(self) -> float | None:
        if self._wants_spare():
            return 0.0
        idle = len(self._living) == len(self._spares) == SPARES
        return None if idle else TICK

    def _wants_spare(self) -> bool:
        return len(self._spares) < SPARES and time.monotonic() >= self._no_spare_before

    def _prepare_ahead(self) -> None:
        try:
            self._prepare()
        except OSError:  # no room for another process: the calls that run will make some
            self._no_spare_before = time.monotonic() + SPARE_PAUSE

    def _hear(self) -> None:
        try:
            data = self._line.recv(CHUNK)
        except ConnectionError:
            data = b""
        if not data:
            self._open = False
        for kind, call, body in self._frames.feed(data):
            if kind == frames.CALL:
                self._begin(call, body)
            elif kind == frames.CANCEL:
                self._cancel(call)

    def _prepare(self) -> None:
        child = self._forks.fork(self._living.values())
        self._living[child.pid] = child
        self._spares.append(child)

    def _begin(self, call: int, order: bytes) -> None:
        try:
            if not self._spares:
                self._prepare()
        except OSError as error:
            self._tell(call, frames.Ending(error.errno or 0, frames.NOT_STARTED, 0, 0, 0, 0, b"", b""))
            return
        child = self._spares.pop(0)
        child.begin(call, order)
        self._selector.register(child.line, selectors.EVENT_READ, lambda: self._on_reply(child))

    def _on_reply(self, child: Child) -> None:
        if child.deaf:  # buried earlier in this round
            return
        ending = child.listen(self._limits)
        if ending is not None:
            self._tell(child.call, ending)
            leftovers.kill_group(child.pid)
        self._forget_the_deaf(child)

    def _forget_the_deaf(self, child: Child) -> None:
        if child.deaf:
            self._selector.unregister(child.line)

    def _cancel(self, call: int) -> None:
        for child in self._living.values():
            if child.call == call:
                child.end(frames.CANCELLED)

    def _look_at_clocks(self) -> None:
        now = time.monotonic()
        self._next_tick = now + TICK
        for child in self._living.values():
            child.look_at_clock(now, self._limits)

    def _on_signal(self) -> None:
        if signal.SIGTERM in os.read(self._wake, 4096):
            self._open = False
        ended = False
        while (pid := _dead_child()) is not None:
            child = self._living.pop(pid, None)
            if child is not None:
                leftovers.kill_group(pid)  # before it is reaped, so that its number is still its own
                ended = True
            _, status, usage = os.wait4(pid, 0)
            self._forks.folders.cleaners.discard(pid)
            if child is not None:
                self._bury(child, status, usage)
        if ended:
            self._kill_escaped()

    def _bury(self, child: Child, status: int, usage: struct_rusage) -> None:
        if child in self._spares:
            self._spares.remove(child)
        elif not child.deaf:
            self._selector.unregister(child.line)
        ending = child.post_mortem(status, usage, self._limits)
        if ending is not None:
            self._tell(child.call, ending)
        child.close()
        self._forks.folders.give_back(child.folder)

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
            self._line.sendall(frames.frame(frames.DONE, call, frames.pack_ending(ending)))
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
