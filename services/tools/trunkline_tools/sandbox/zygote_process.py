"""The zygote: a process that has imported one definitions file, and from then on only forks. No credentials, small."""

import gc
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from trunkline.contracts.errors import BrokenFile, InvalidArguments
from trunkline.definitions import load_definitions
from trunkline.tool import Tool
from trunkline_tools.sandbox import frames, lockdown
from trunkline_tools.sandbox.limits import Limits
from trunkline_tools.sandbox.nursery import Nursery


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
    nursery = Nursery(line, tools, Limits(**config["limits"]), config["home"])
    ready = {"version": found.version, "tools": [tool.declaration() for tool in found.tools]}
    line.sendall(frames.frame(frames.READY, 0, json.dumps(ready).encode()))
    nursery.serve()
    shutil.rmtree(config["home"], ignore_errors=True)  # when the executor was killed, nobody else does


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
