"""Arguments on their way to a tool: checked here when JSON alone can say its signature, else in the call's process."""

import json
from typing import Any

import orjson
from pydantic_core import SchemaValidator, ValidationError

from trunkline.contracts.errors import InvalidArguments
from trunkline.contracts.registry import ToolCard
from trunkline.tool import refusal
from trunkline_tools.sandbox import plain


class Check:
    """What one tool takes. `fields` as its zygote told them, which has run the user's code: SchemaError when wrong."""

    def __init__(self, card: ToolCard, fields: dict[str, Any]) -> None:
        self._card = card
        self._validator = SchemaValidator(plain.checked(fields))

    def convert(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """To the types of the signature. Raises InvalidArguments."""
        try:
            converted: dict[str, Any] = self._validator.validate_python(arguments)
        except ValidationError as error:
            raise refusal(self._card.tool, self._card.parameters, error) from None
        return converted


def packed(tool: str, arguments: dict[str, Any], check: Check | None) -> bytes:
    """As JSON, converted when there is a check. Raises InvalidArguments."""
    try:
        body = orjson.dumps(arguments)  # says what is not JSON at all
    except TypeError as error:
        raise InvalidArguments(f"{tool} cannot take these arguments: {error}.", "Give JSON values.") from error
    return body if check is None else json.dumps(check.convert(arguments)).encode()
