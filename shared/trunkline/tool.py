"""A tool is a typed function with declared powers. Declaring nothing grants the least.

Its schema is built when somebody first asks for it: a process that only runs tools never loads pydantic.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints, overload

from trunkline.contracts.errors import InvalidArguments, InvalidSettings, NotFound
from trunkline.contracts.ids import tool_token

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from trunkline.contracts.registry import Effect, ToolCard

DEFAULT_TIMEOUT = 30.0
DEFAULT_RETRIES = 2
MOST_RETRIES = 10
LEAST_RESULT_TOKENS = 50
EFFECTS = ("read", "write")
SHOWN_PROBLEMS = 8
CALL_ID = "TRUNKLINE_CALL_ID"
"""The environment variable by which a tool's process knows its call."""

Function = Callable[..., Any]


class Done(NamedTuple):
    """What a reconcile function found: the call's effect happened; `value` is what the call returns."""

    value: Any = None


class NotDone(NamedTuple):
    """What a reconcile function found: the call's effect did not happen."""


def call_id() -> str:
    """The call that this process carries out, `<run>-<step>`: the same each time that the call is run, so it is the
    idempotency key for whatever the tool asks of others. Raises NotFound outside of a call.
    """
    found = os.environ.get(CALL_ID, "")  # noqa: TID251  # what the sandbox says to the tool
    if not found:
        raise NotFound("No tool call is under way in this process.", f"In a test of your own, set {CALL_ID}.")
    return found


@dataclass(frozen=True, eq=False, kw_only=True)
class Tool:
    """A function and what it may do. Still callable like the function; `timeout` is in seconds, total, for one try.

    `reconciler` says what became of a call that is in doubt, within `reconcile_timeout` seconds.
    """

    function: Function
    name: str
    description: str
    timeout: float
    effect: Effect
    idempotent: bool
    approve: bool
    cacheable: bool
    retries: int
    result_tokens: int = 0
    reconciler: Function | None = None
    reconcile_timeout: float = 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # whatever the function takes and gives
        return self.function(*args, **kwargs)

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    @overload
    def reconcile(self, function: Function, /) -> Function: ...

    @overload
    def reconcile(self, /, *, timeout: float) -> Callable[[Function], Function]: ...

    def reconcile(
        self, function: Function | None = None, /, *, timeout: float | None = None
    ) -> Function | Callable[[Function], Function]:
        """Decide what became of a call that was begun and has no result, by a function with the tool's parameters.

        It only looks, and returns `Done(value)` or `NotDone()`; whatever else it returns or raises leaves the decision
        to a person. `timeout` in seconds, else the tool's. Raises InvalidSettings.
        """

        def declare(function: Function) -> Function:
            _check_reconciler(self, function)
            seconds = _checked_timeout(self.name, self.timeout if timeout is None else timeout)
            object.__setattr__(self, "reconciler", function)  # a decorator below the tool: declared once, then fixed
            object.__setattr__(self, "reconcile_timeout", seconds)
            return function

        return declare if function is None else declare(function)

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
            "cacheable": self.cacheable,
            "timeout_seconds": self.timeout,
            "retries": self.retries,
            "result_tokens": self.result_tokens,
            "reconcile_seconds": self.reconcile_timeout,
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
    cacheable: bool = False,
    retries: int | None = None,
    result_tokens: int | None = None,
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
    cacheable: bool = False,
    retries: int | None = None,
    result_tokens: int | None = None,
) -> Tool | Callable[[Function], Tool]:
    """Declare a function, sync or async, as a tool.

    Its signature is its schema, its docstring the description that models read. `effect="write"` says that it changes
    something outside, `idempotent` that running it again with the same `call_id()` does no harm, `approve` that a
    person decides before each call. `cacheable`: its values hold for a while and say nothing that must not be
    repeated, so that answers they went into may be given again. `timeout` is in seconds, for one try. `retries`: how
    often it is tried again after it raised TryAgain or failed to reach somebody; 2, or none for a tool that must not be
    run twice. `result_tokens`: how much of its result a model is told at most, instead of what the agent says.

    Raises InvalidName and InvalidSettings; types that have no schema are found when the schema is first asked for, by
    `load_definitions` at the latest.
    """

    def declare(function: Function) -> Tool:
        label = name or function.__name__
        tool_token(label)
        if effect not in EFFECTS:
            raise InvalidSettings(f"tool {label}: effect is {effect!r}.", 'It is "read" or "write".')
        if cacheable and (effect != "read" or approve):
            raise InvalidSettings(
                f"tool {label} is cacheable, and has effects or asks a person.", "Leave out cacheable=True."
            )
        _check_kinds(function, label)
        return Tool(
            function=function,
            name=label,
            description=inspect.getdoc(function) or "",
            timeout=_checked_timeout(label, timeout),
            effect=effect,
            idempotent=idempotent,
            approve=approve,
            cacheable=cacheable,
            retries=checked_retries(f"tool {label}", retries, again=effect == "read" or idempotent),
            result_tokens=_checked_result_tokens(label, result_tokens),
        )

    return declare if function is None else declare(function)


def checked_retries(what: str, retries: int | None, *, again: bool) -> int:
    """How often `what` may be tried again; `again`: whether it may be run twice at all. Raises InvalidSettings."""
    if retries is None:
        return DEFAULT_RETRIES if again else 0
    if type(retries) is not int or not 0 <= retries <= MOST_RETRIES:
        raise InvalidSettings(f"{what}: retries is {retries!r}.", f"Give a number from 0 to {MOST_RETRIES}.")
    if retries and not again:
        raise InvalidSettings(
            f"{what}: it has effects and is not idempotent, so it cannot have retries.",
            "Declare idempotent=True if running it twice with the same call_id() does no harm.",
        )
    return retries


def _checked_result_tokens(name: str, tokens: int | None) -> int:
    if tokens is None:
        return 0
    if type(tokens) is not int or tokens < LEAST_RESULT_TOKENS:
        raise InvalidSettings(
            f"tool {name}: result_tokens is {tokens!r}.", f"Give a whole number from {LEAST_RESULT_TOKENS}."
        )
    return tokens


def _checked_timeout(name: str, timeout: float) -> float:
    if not (timeout > 0 and math.isfinite(timeout)):
        raise InvalidSettings(f"tool {name}: timeout is {timeout}.", "Give a number of seconds above zero.")
    return float(timeout)


def _check_reconciler(tool: Tool, function: Function) -> None:
    if tool.effect == "read" or tool.idempotent:
        raise InvalidSettings(
            f"tool {tool.name}: it may be run again, so there is nothing to reconcile.",
            'Reconcile is for tools with effect="write" that are not idempotent.',
        )
    if tool.reconciler is not None:
        raise InvalidSettings(f"tool {tool.name}: it has two reconcile functions.", "Keep one of them.")
    asked, given = (list(inspect.signature(each).parameters) for each in (function, tool.function))
    if asked != given:
        raise InvalidSettings(
            f"tool {tool.name}: its reconcile function takes ({', '.join(asked)}).",
            f"Give it the tool's own parameters: ({', '.join(given)}).",
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
