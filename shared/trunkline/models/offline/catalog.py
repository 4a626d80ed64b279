"""What a tool's schema says, prepared once: which words speak for the tool, and which arguments it takes."""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from trunkline.contracts.dialog import ToolSpec
from trunkline.models.offline.words import STOP, VAGUE, WEAK, name_stems, stem, text_stems

NAME_WEIGHT = 3.0
WEAK_NAME_WEIGHT = 1.0
CHOICE_WEIGHT = 1.5
DESCRIPTION_WEIGHT = 1.0
PARAMETER_WEIGHT = 0.75
ENOUGH = 2.0
ENOUGH_TO_DELEGATE = 1.0

_WANTS = {
    "question": "question",
    "email": "email recipient",
    "url": "url uri link website",
    "date": "date day since until deadline due when",
    "id": "id number no code ref reference sku key ticket identifier",
    "query": "query q search topic keyword term text message prompt input task request note title subject body content",
}
_WANTED_STEMS = {want: {stem(name) for name in names.split()} for want, names in _WANTS.items()}
_FORMATS = {"email": "email", "uri": "url", "date": "date", "date-time": "date", "uuid": "id"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument. `wants` is the sort of text it is after, as its format or its name tells; `choices` its enum."""

    name: str
    type: str
    required: bool
    wants: str
    stems: frozenset[str]
    choices: tuple[Any, ...] = ()
    pattern: re.Pattern[str] | None = None
    items: str = "string"


@dataclass(frozen=True, slots=True)
class IndexedTool:
    """A tool with its words. `tokens` is what its declaration costs in a prompt."""

    name: str
    parameters: tuple[Parameter, ...]
    weights: Mapping[str, float]
    name_stems: frozenset[str]
    tokens: int

    @property
    def delegates(self) -> bool:
        """It passes the question on to somebody else."""
        return any(parameter.wants == "question" for parameter in self.parameters)

    @property
    def enough(self) -> float:
        return ENOUGH_TO_DELEGATE if self.delegates else ENOUGH


class Catalog:
    """Indexed tools, the least recently used forgotten first."""

    def __init__(self, limit: int = 2048) -> None:
        self._limit = limit
        self._known: OrderedDict[bytes, IndexedTool] = OrderedDict()
        self._encoder = msgspec.msgpack.Encoder()

    def __getitem__(self, spec: ToolSpec) -> IndexedTool:
        key = self._encoder.encode(spec)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = index(spec)
            if len(self._known) > self._limit:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return known


def index(spec: ToolSpec) -> IndexedTool:
    properties = spec.parameters.get("properties")
    required = spec.parameters.get("required") or ()
    parameters = tuple(
        _parameter(name, _resolved(schema, spec.parameters), name in required)
        for name, schema in (properties if isinstance(properties, dict) else {}).items()
    )
    name = name_stems(spec.name)
    strong = name - WEAK - STOP or name - STOP
    weights: dict[str, float] = {}
    for parameter in parameters:
        weights |= dict.fromkeys(parameter.stems - STOP - VAGUE, PARAMETER_WEIGHT)
    weights |= dict.fromkeys(text_stems(spec.description) - VAGUE, DESCRIPTION_WEIGHT)
    for parameter in parameters:
        said = text_stems(" ".join(choice for choice in parameter.choices if isinstance(choice, str)))
        weights |= dict.fromkeys(said, CHOICE_WEIGHT)
    weights |= dict.fromkeys(name & WEAK, WEAK_NAME_WEIGHT) | dict.fromkeys(strong, NAME_WEIGHT)
    tokens = -(-len(msgspec.json.encode(spec)) // 4)
    return IndexedTool(name=spec.name, parameters=parameters, weights=weights, name_stems=name, tokens=tokens)


def _parameter(name: str, schema: dict[str, Any], required: bool) -> Parameter:
    choices = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    items = schema.get("items")
    return Parameter(
        name=name,
        type=_type(schema),
        required=required,
        wants=_wants(name, schema),
        stems=name_stems(name),
        choices=tuple(choices) if isinstance(choices, list) else (),
        pattern=_pattern(schema.get("pattern")),
        items=_type(items) if isinstance(items, dict) else "string",
    )


def _type(schema: dict[str, Any]) -> str:
    declared = schema.get("type", "string")
    if isinstance(declared, list):
        declared = next((one for one in declared if one != "null"), "string")
    return str(declared)


def _wants(name: str, schema: dict[str, Any]) -> str:
    if (known := _FORMATS.get(str(schema.get("format")))) is not None:
        return known
    named = name_stems(name)
    return next((want for want, names in _WANTED_STEMS.items() if named & names), "")


def _pattern(source: object) -> re.Pattern[str] | None:
    if not isinstance(source, str):
        return None
    try:
        return re.compile(source.removeprefix("^").removesuffix("$"))
    except re.error:  # a schema may be written for another dialect of expressions
        return None


def _resolved(schema: object, root: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """The schema behind a local `$ref`, or the first branch of an `anyOf` that is not null."""
    if not isinstance(schema, dict) or depth > 8:
        return {}
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _resolved((root.get("$defs") or {}).get(reference.rpartition("/")[2]), root, depth + 1)
    branches = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(branches, list):
        usable = [branch for branch in branches if isinstance(branch, dict) and branch.get("type") != "null"]
        return _resolved(usable[0] if usable else {}, root, depth + 1)
    return schema
