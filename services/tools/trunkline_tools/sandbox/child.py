"""A forked child as its zygote sees it: at work, or dead. Its output and its reply are files in memory."""

import os
import time
from dataclasses import dataclass
from resource import struct_rusage

from trunkline_tools.sandbox import frames, leftovers
from trunkline_tools.sandbox.folders import Folder
from trunkline_tools.sandbox.limits import Limits

TAIL_BYTES = 2048


@dataclass(slots=True, eq=False)
class Child:
    """Times are monotonic seconds. `cause`: why it was ended, if it was."""

    pid: int
    call: int
    output: int
    reply: int
    folder: Folder
    begun: float
    deadline: float
    cause: int = frames.UNTOUCHED

    def end(self, cause: int) -> None:
        self.cause = self.cause or cause
        leftovers.kill_group(self.pid)

    def look_at_clock(self, now: float, limits: Limits) -> None:
        if now >= self.deadline:
            self.end(frames.TIMED_OUT)
        elif os.fstat(self.output).st_size > limits.output_bytes:
            self.end(frames.FLOODED)

    def post_mortem(self, status: int, usage: struct_rusage, limits: Limits) -> frames.Ending:
        """Closes its files."""
        size = os.fstat(self.output).st_size
        reply = os.pread(self.reply, limits.reply_bytes + 1, 0)
        tail = os.pread(self.output, TAIL_BYTES, max(0, size - TAIL_BYTES)) if size else b""
        os.close(self.output)
        os.close(self.reply)
        flooded = size > limits.output_bytes
        return frames.Ending(
            status=status,
            cause=self.cause or (frames.FLOODED if flooded else frames.UNTOUCHED),
            duration_us=int((time.monotonic() - self.begun) * 1e6),
            cpu_us=int((usage.ru_utime + usage.ru_stime) * 1e6),
            max_rss_kib=usage.ru_maxrss,
            output_bytes=size,
            reply=reply,
            tail=tail,
        )
