"""What a file offers, worked out by a child of the zygote: it loads pydantic, so that the zygote need not."""

import json
import os
import sys
import traceback
from typing import Any, NoReturn

from trunkline.contracts.errors import BrokenFile
from trunkline.definitions import Definitions, check_schemas
from trunkline.tool import Tool
from trunkline_tools.sandbox import frames, lockdown, plain


def greeting(found: Definitions) -> tuple[int, bytes]:
    """The kind and the body of the zygote's first word: READY or BROKEN. Empty when describing failed."""
    out, into = os.pipe()
    zygote = os.getpid()
    pid = os.fork()
    if pid == 0:
        _describe(found, into, zygote)
    os.close(into)
    with os.fdopen(out, "rb") as pipe:
        told = pipe.read()
    os.waitpid(pid, 0)
    return told[0] if told else 0, told[1:]


def broken(error: BrokenFile) -> bytes:
    return json.dumps({"message": error.what, "hint": error.hint, "data": error.data}).encode()


def _describe(found: Definitions, into: int, zygote: int) -> NoReturn:
    try:
        lockdown.die_with(zygote)
        with os.fdopen(into, "wb") as pipe:
            pipe.write(_said(found))
    except BaseException:  # noqa: BLE001  # the zygote's last words
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)


def _said(found: Definitions) -> bytes:
    try:
        check_schemas(found)
    except BrokenFile as error:
        return bytes([frames.BROKEN]) + broken(error)
    told = {"version": found.version, "tools": [_tool(tool) for tool in found.tools]}
    return bytes([frames.READY]) + json.dumps(told).encode()


def _tool(tool: Tool) -> dict[str, Any]:
    """`fields` are there for a tool whose arguments the executor can check; `light` ones need no pydantic at all."""
    schema = plain.arguments_schema(tool.function)
    fields = schema["fields"] if schema else None
    light = fields is not None and plain.returns_plain(tool.function)
    return tool.declaration() | {"fields": fields, "light": light}
