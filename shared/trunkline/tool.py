"""A tool is a typed function with declared powers. Declaring nothing grants the least.

Its schema is built when somebody first asks for it: a process that only runs tools never loads pydantic.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_type_hints, overload

from trunkline.contracts.errors import InvalidArguments, InvalidSettings
from trunkline.contracts.ids import tool_token

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from trunkline.contracts.registry import Effect, ToolCard

DEFAULT_TIMEOUT = 30.0
EFFECTS = ("read", "write")
SHOWN_PROBLEMS = 8

Function = Callable[..., Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class Tool:
    """A function and what it may do. Still callable like the function; `timeout` is in seconds, total."""

    function: Function
    name: str
    description: str
    timeout: float
    effect: Effect
    idempotent: bool
    approve: bool

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # whatever the function takes and gives
        return self.function(*args, **kwargs)

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema of the arguments. Raises InvalidSettings when the signature has none."""
        return _schema(self._model)

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments for the function, converted to its types. Raises InvalidArguments."""
        from pydantic import ValidationError

        try:
            checked = self._model.model_validate(arguments)
        except ValidationError as error:
            raise refusal(self.name, self.parameters, error) from None
        given = checked.model_fields_set
        return {name: getattr(checked, key) for key, name in _fields(self._names) if key in given}

    def declaration(self) -> dict[str, Any]:
        """What a card says of the tool itself, as JSON values."""
        return {
            "tool": self.name,
            "description": self.description,
            "parameters": self.parameters,
            "effect": self.effect,
            "idempotent": self.idempotent,
            "approve": self.approve,
            "timeout_seconds": self.timeout,
        }

    def card(self, executor: str, source: str) -> ToolCard:
        """The registration of this tool as `executor` offers it."""
        from trunkline.contracts.registry import ToolCard

        return ToolCard(executor=executor, source=source, **self.declaration())

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.function).parameters)

    @cached_property
    def _model(self) -> type[BaseModel]:
        return _model(self.function, self.name, self._names)


@overload
def tool(function: Function, /) -> Tool: ...


@overload
def tool(
    *,
    name: str = "",
    timeout: float = DEFAULT_TIMEOUT,
    effect: Effect = "read",
    idempotent: bool = False,
    approve: bool = False,
) -> Callable[[Function], Tool]: ...


def tool(
    function: Function | None = None,
    /,
    *,
    name: str = "",
    timeout: float = DEFAULT_TIMEOUT,
    effect: Effect = "read",
    idempotent: bool = False,
    approve: bool = False,
) -> Tool | Callable[[Function], Tool]:
    """Declare a function, sync or async, as a tool.

    Its signature is its schema, its docstring the description that models read. `effect="write"` says that it changes
    something outside, `idempotent` that running it again with the same call id does no harm, `approve` that a person
    decides before each call. `timeout` is in seconds. Raises InvalidName and InvalidSettings; types that have no schema
    are found when the schema is first asked for, by `load_definitions` at the latest.
    """

    def declare(function: Function) -> Tool:
        return _declare(function, name, timeout=timeout, effect=effect, idempotent=idempotent, approve=approve)

    return declare if function is None else declare(function)


def _declare(function: Function, name: str, *, timeout: float, effect: Effect, idempotent: bool, approve: bool) -> Tool:
    name = name or function.__name__
    tool_token(name)
    if not (timeout > 0 and math.isfinite(timeout)):
        raise InvalidSettings(f"tool {name}: timeout is {timeout}.", "Give a number of seconds above zero.")
    if effect not in EFFECTS:
        raise InvalidSettings(f"tool {name}: effect is {effect!r}.", 'It is "read" or "write".')
    _check_kinds(function, name)
    return Tool(
        function=function,
        name=name,
        description=inspect.getdoc(function) or "",
        timeout=float(timeout),
        effect=effect,
        idempotent=idempotent,
        approve=approve,
    )


def refusal(name: str, parameters: Mapping[str, Any], error: ValidationError) -> InvalidArguments:
    """What is wrong with the arguments, for the model that gave them."""
    return InvalidArguments(f"{name} cannot take these arguments: {_problems(error)}.", _usage(parameters))


def _check_kinds(function: Function, name: str) -> None:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise InvalidSettings(
                f"tool {name}: the parameter {parameter} cannot be given by name.",
                "A tool is called with named arguments: no *args, **kwargs or positional-only parameters.",
            )


def _fields(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Model fields stand under neutral keys, since a parameter may be called `json`, `copy` or `_x`."""
    return [(f"p{position}", name) for position, name in enumerate(names)]


def _model(function: Function, name: str, names: tuple[str, ...]) -> type[BaseModel]:
    from pydantic import ConfigDict, Field, PydanticUserError, create_model
    from pydantic.fields import FieldInfo

    parameters = inspect.signature(function).parameters
    for parameter in parameters.values():
        if isinstance(parameter.default, FieldInfo):
            raise InvalidSettings(
                f"tool {name}: the default of {parameter.name} is a Field(...).",
                f"Write `{parameter.name}: Annotated[type, Field(...)] = default`, so that the function can be called.",
            )
    try:
        hints = get_type_hints(function, include_extras=True)
        fields: dict[str, Any] = {
            key: (hints.get(each, Any), Field(_default(parameters[each]), alias=each)) for key, each in _fields(names)
        }
        config = ConfigDict(extra="forbid", arbitrary_types_allowed=False)
        model: type[BaseModel] = create_model(name, __config__=config, **fields)
    except (NameError, TypeError, PydanticUserError) as error:
        what = str(error).splitlines()[0].rstrip(".")
        raise InvalidSettings(
            f"tool {name}: its signature has no schema: {what}.", "Use JSON types, dataclasses or pydantic models."
        ) from error
    return model


def _default(parameter: inspect.Parameter) -> Any:  # a default may be anything
    return ... if parameter.default is parameter.empty else parameter.default


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema without pydantic's generated titles, which models would be paid to read."""
    from pydantic.json_schema import GenerateJsonSchema

    class Untitled(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # pydantic's signature
            return False

    schema = model.model_json_schema(schema_generator=Untitled)
    schema.pop("title", None)
    schema.pop("description", None)
    return schema


def _problems(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False)
    shown = [_problem(each["loc"], each["type"], each["msg"], each["input"]) for each in found[:SHOWN_PROBLEMS]]
    more = len(found) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _problem(where: tuple[int | str, ...], kind: str, message: str, given: object) -> str:
    if not where:
        return "they are not a JSON object"
    name = ".".join(str(part)[:60] for part in where)
    if kind == "missing":
        return f"{name} is missing"
    if kind == "extra_forbidden":
        return f"{name} is not a parameter"
    shown = repr(given)
    return f"{name}: {message[:200]}, not {shown if len(shown) <= 60 else shown[:57] + '...'}"


def _usage(parameters: Mapping[str, Any]) -> str:
    required = parameters.get("required", ())
    names = [name if name in required else f"{name} (optional)" for name in parameters.get("properties", {})]
    return f"It takes {', '.join(names)}." if names else "It takes no arguments."
