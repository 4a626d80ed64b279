"""A forked child as its zygote sees it: waiting for an order, carrying it out, or dead."""

import os
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from resource import struct_rusage

from trunkline.contracts.errors import WireViolation
from trunkline.tool import Tool
from trunkline_tools.sandbox import frames, leftovers
from trunkline_tools.sandbox.folders import Folder, Folders
from trunkline_tools.sandbox.limits import Limits, kernel_limits
from trunkline_tools.sandbox.zygote_child import Place, serve_one

CHUNK = 256 * 1024
TAIL_BYTES = 2048
REPLY_ROOM = 64
IDLE = 0


@dataclass(slots=True, eq=False)
class Child:
    """`call` is IDLE until it has an order. `deaf`: nothing more will come from it. Times are monotonic seconds."""

    pid: int
    line: socket.socket
    output: int
    folder: Folder
    call: int = IDLE
    begun: float = 0.0
    deadline: float = 0.0
    cause: int = frames.UNTOUCHED
    deaf: bool = False
    answered: bool = False
    received: frames.Frames | None = field(default=None, repr=False)

    def begin(self, call: int, order: bytes) -> None:
        self.call = call
        self.begun = time.monotonic()
        self.deadline = self.begun + frames.unpack_order(order).seconds
        try:
            self.line.sendall(frames.frame(frames.CALL, call, order))
        except OSError:
            self.end(frames.UNTOUCHED)

    def listen(self, limits: Limits) -> frames.Ending | None:
        """The ending, when the child's reply is complete. What runs of it after that is killed."""
        try:
            data = self.line.recv(CHUNK, socket.MSG_DONTWAIT)
            self.deaf = not data
            if self.received is None:
                self.received = frames.Frames(limits.reply_bytes + REPLY_ROOM)
            for frame in self.received.feed(data):
                return self._reply(frames.unpack_reply(frame.body), limits)
        except OSError:
            self.deaf = True
        except WireViolation:
            self.deaf = True
            self.end(frames.TOO_LONG)
        return None

    def end(self, cause: int) -> None:
        self.cause = self.cause or cause
        leftovers.kill_group(self.pid)

    def look_at_clock(self, now: float, limits: Limits) -> None:
        if self.call == IDLE or self.answered:
            return
        if now >= self.deadline:
            self.end(frames.TIMED_OUT)
        elif os.fstat(self.output).st_size > limits.output_bytes:
            self.end(frames.FLOODED)

    def post_mortem(self, status: int, usage: struct_rusage, limits: Limits) -> frames.Ending | None:
        """The ending of a child that has died, unless it was told before. Its last words may still be unread."""
        while self.call != IDLE and not self.deaf:
            if (ending := self.listen(limits)) is not None:
                return ending
        if self.call == IDLE or self.answered:
            return None
        cpu_us = int((usage.ru_utime + usage.ru_stime) * 1e6)
        return self._ending(status, frames.Reply(cpu_us, usage.ru_maxrss, b""), limits)

    def close(self) -> None:
        self.deaf = True
        self.line.close()
        os.close(self.output)

    def _reply(self, reply: frames.Reply, limits: Limits) -> frames.Ending | None:
        if self.cause != frames.UNTOUCHED:  # it has been killed: too late
            return None
        self.answered = self.deaf = True
        return self._ending(0, reply, limits)

    def _ending(self, status: int, reply: frames.Reply, limits: Limits) -> frames.Ending:
        size = os.fstat(self.output).st_size
        flooded = size > limits.output_bytes
        return frames.Ending(
            status=status,
            cause=self.cause or (frames.FLOODED if flooded else frames.UNTOUCHED),
            duration_us=int((time.monotonic() - self.begun) * 1e6),
            cpu_us=reply.cpu_us,
            max_rss_kib=reply.max_rss_kib,
            output_bytes=size,
            reply=reply.body,
            tail=os.pread(self.output, TAIL_BYTES, max(0, size - TAIL_BYTES)) if size else b"",
        )


class Forks:
    """Makes children. `own` are the zygote's descriptors, which no child keeps."""

    def __init__(self, tools: Mapping[str, Tool], limits: Limits, home: str, own: list[int]) -> None:
        self.folders = Folders(home)
        self._tools = tools
        self._own = own
        self._kernel_limits = kernel_limits(limits)
        self._zygote = os.getpid()

    def fork(self, others: Iterable[Child]) -> Child:
        """Raises OSError when there is no room for another process."""
        folder = self.folders.take()
        ours, theirs = socket.socketpair()
        output = -1
        try:
            output = os.memfd_create("output")
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            if output >= 0:
                os.close(output)
            self.folders.give_back(folder)
            raise
        if pid == 0:
            foreign = [*self._own, ours.fileno()]
            for other in others:
                foreign += (other.line.fileno(), other.output)
            serve_one(self._tools, Place(folder.path, theirs, output, foreign), self._zygote, self._kernel_limits)
        theirs.close()
        return Child(pid, ours, output, folder)
