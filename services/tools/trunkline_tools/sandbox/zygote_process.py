"""The zygote: a process that has imported one definitions file, and from then on only forks. No credentials, small."""

import gc
import json
import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from inspect import iscoroutinefunction
from typing import Any

from trunkline.contracts.errors import BrokenFile, InvalidArguments
from trunkline.definitions import collect_definitions
from trunkline.tool import Tool
from trunkline_tools.sandbox import describe, frames, lockdown
from trunkline_tools.sandbox.limits import Limits
from trunkline_tools.sandbox.nursery import Nursery
from trunkline_tools.sandbox.zygote_child import rehearse


def main(config: dict[str, Any]) -> None:
    """`config`: `path`, `socket` (a file descriptor), `executor` (a process), `home`, `limits`."""
    lockdown.die_with(config["executor"], signal.SIGTERM)
    lockdown.no_new_privileges()
    lockdown.adopt_orphans()
    line = config["socket"]
    os.set_inheritable(line, False)
    sys.path.append(os.path.dirname(config["path"]))  # noqa: PTH120  # tools may import their neighbours late
    try:
        found = collect_definitions(config["path"])
    except BrokenFile as error:
        frames.send(line, frames.BROKEN, 0, describe.broken(error))
        return
    kind, body = describe.greeting(found)
    if kind == frames.READY:
        _warm(found.tools, json.loads(body)["tools"])
        nursery = Nursery(line, {tool.name: tool for tool in found.tools}, Limits(**config["limits"]), config["home"])
        frames.send(line, kind, 0, body)
        nursery.serve()
        _remove(config["home"])
    elif kind == frames.BROKEN:
        frames.send(line, kind, 0, body)


def _remove(home: str) -> None:
    """When the executor was killed, nobody else does."""
    import shutil

    shutil.rmtree(home, ignore_errors=True)


def _warm(tools: Iterable[Tool], told: Iterable[dict[str, Any]]) -> None:
    """Whatever is imported or built on first use is built here, once, instead of in every child."""
    for tool, what in zip(tools, told, strict=True):
        if what["fields"] is None:
            with suppress(InvalidArguments):
                tool.validate({"": None})
        if not what["light"]:
            import pydantic_core  # noqa: F401  # for results
        if tool.is_async or iscoroutinefunction(tool.reconciler):
            import asyncio

            asyncio.run(asyncio.sleep(0))
    rehearse()
    gc.collect()
    gc.disable()
    gc.freeze()
