"""Checks arguments against a JSON schema that somebody else wrote."""

from typing import Any

from trunkline.contracts.messages import Failure

SHOWN_PROBLEMS = 8


class BadSchema(ValueError):
    """A schema that nothing can be checked against."""


class ArgumentSchema:
    """Never fetches what a `$ref` points to elsewhere. Raises BadSchema."""

    def __init__(self, schema: dict[str, Any]) -> None:
        from jsonschema import Draft202012Validator, SchemaError
        from jsonschema.validators import validator_for
        from referencing import Registry

        kind = validator_for(schema, default=Draft202012Validator)
        try:
            kind.check_schema(schema)
        except SchemaError as error:
            raise BadSchema(f"its schema is broken: {error.message[:200]}") from error
        self._validator = kind(schema, registry=Registry())
        self._schema = schema

    def refusal(self, tool: str, arguments: dict[str, Any]) -> Failure | None:
        """None when the arguments fit."""
        from referencing.exceptions import Unresolvable

        try:
            problems = [_problem(error) for error in self._validator.iter_errors(arguments)]
        except Unresolvable as error:
            problems = [f"its schema points elsewhere: {str(error)[:200]}"]
        if not problems:
            return None
        names = ", ".join(self._schema.get("properties", {}))
        return Failure(
            code="invalid_arguments",
            message=f"{tool} cannot take these arguments: {'; '.join(problems[:SHOWN_PROBLEMS])}.",
            hint=f"It takes {names}." if names else "It takes no arguments.",
        )


def _problem(error: Any) -> str:  # a ValidationError; jsonschema is imported late
    where = ".".join(str(part) for part in error.absolute_path)
    text = str(error.message)[:200]
    return f"{where}: {text}" if where else text
