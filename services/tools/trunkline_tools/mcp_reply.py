"""What an MCP server returned, as a JSON value or a failure. It comes from outside, so it is capped like a tool's."""

from typing import TYPE_CHECKING, Any

import orjson

from trunkline.contracts.messages import Failure
from trunkline_tools.sandbox.limits import Limits
from trunkline_tools.sandbox.verdict import failed, too_deep

if TYPE_CHECKING:
    from mcp_types import CallToolResult

TEXT_CHARACTERS = 2048
LIMITS = Limits()


def read_result(tool: str, result: "CallToolResult") -> tuple[Any, Failure | None]:
    """Structured content when there is some; else its text; else its blocks."""
    texts = [block.text for block in result.content if block.type == "text"]
    if result.is_error:
        text = "\n".join(texts)[:TEXT_CHARACTERS] or "no text"
        return None, failed(tool, "raised", f"failed: {text}", "Correct the arguments if they caused it.")
    if result.structured_content is not None:
        value: Any = result.structured_content
    elif len(texts) == len(result.content):
        value = "\n".join(texts)
    else:
        value = [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in result.content]
    return _capped(tool, value)


def _capped(tool: str, value: Any) -> tuple[Any, Failure | None]:  # any JSON value
    try:
        body = orjson.dumps(value)
    except (TypeError, ValueError) as error:
        return None, failed(tool, "bad_output", f"returned what is not JSON: {error}", "The server has to be mended.")
    if len(body) > LIMITS.reply_bytes:
        what = f"returned more than {LIMITS.reply_bytes} bytes"
        return None, failed(tool, "bad_output", what, "Ask for less.")
    if too_deep(body, LIMITS.reply_depth):
        what = f"returned a value nested deeper than {LIMITS.reply_depth}"
        return None, failed(tool, "bad_output", what, "Ask for less.")
    return value, None
