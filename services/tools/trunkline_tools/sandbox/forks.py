"""Makes the child of a call."""

import os
import time
from collections.abc import Iterable, Mapping

from trunkline.tool import Tool
from trunkline_tools.sandbox import frames
from trunkline_tools.sandbox.child import Child
from trunkline_tools.sandbox.folders import Folders
from trunkline_tools.sandbox.limits import Limits, kernel_limits
from trunkline_tools.sandbox.zygote_child import Place, serve_one


class Forks:
    """`own` are the zygote's descriptors, which no child keeps."""

    def __init__(self, tools: Mapping[str, Tool], limits: Limits, home: str, own: list[int]) -> None:
        self.folders = Folders(home)
        self._tools = tools
        self._own = own
        self._reply_bytes = limits.reply_bytes
        self._kernel_limits = kernel_limits(limits)
        self._zygote = os.getpid()

    def fork(self, call: int, order: frames.Order, others: Iterable[Child]) -> Child:
        """Raises OSError when there is no room for another process."""
        folder = self.folders.take()
        output = reply = -1
        begun = time.monotonic()
        try:
            output = os.memfd_create("output")
            reply = os.memfd_create("reply")
            pid = os.fork()
        except OSError:
            for fd in (output, reply):
                if fd >= 0:
                    os.close(fd)
            self.folders.give_back(folder)
            raise
        if pid == 0:
            foreign = [*self._own]
            for other in others:
                foreign += (other.output, other.reply)
            place = Place(folder.path, output, reply, foreign, self._reply_bytes)
            serve_one(self._tools, order, place, self._zygote, self._kernel_limits)
        return Child(pid, call, output, reply, folder, begun, begun + order.seconds)
