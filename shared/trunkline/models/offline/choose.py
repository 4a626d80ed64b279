"""Which tools the question asks for, and with what: no tool rather than a wrong one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trunkline.models.offline.arguments import Clause, fill
from trunkline.models.offline.catalog import IndexedTool
from trunkline.models.offline.words import stem

_JOINT = re.compile(r"\s*,?\s+(?:and|then|also)\s+(?:(?:then|also)\s+)?|\s*;\s+|(?<=[.?!])\s+(?=\w)")
_IDENTIFIED = 2.0
_NUMBERS_FIT = 0.5
_ABOUT = 0.5


@dataclass(frozen=True, slots=True)
class Choice:
    """One call to make, and the part of the question that it answers."""

    tool: IndexedTool
    arguments: dict[str, Any]
    clause: Clause


@dataclass(slots=True)
class Plan:
    """`wanting`: a tool that fits and what it still needs to know, when nothing else can be called."""

    calls: list[Choice] = field(default_factory=list)
    wanting: tuple[str, list[str]] | None = None


def plan(question: str, tools: Sequence[IndexedTool]) -> Plan:
    """Several calls only when several parts of the question each ask for one by themselves."""
    made = Plan()
    if tools:
        parts = _JOINT.split(question)
        choices = _split_choices(parts, question, tools, made) if len(parts) > 1 else []
        if len(choices) < 2:
            whole = choose(Clause(question, question), tools, {}, made)
            choices = [whole] if whole else choices
        for choice in choices:
            if all((choice.tool.name, choice.arguments) != (one.tool.name, one.arguments) for one in made.calls):
                made.calls.append(choice)
    return made


def choose(
    clause: Clause, tools: Sequence[IndexedTool], facts: Mapping[str, Any], made: Plan | None = None
) -> Choice | None:
    """The tool whose words fit best; when its arguments cannot be filled, only one that fits about as well."""
    ranked = [(score, -at) for at, tool in enumerate(tools) if (score := _score(tool, clause)) >= tool.enough]
    ranked.sort(reverse=True)
    for score, at in ranked:
        if score < ranked[0][0] - _ABOUT:
            break
        tool = tools[-at]
        filled = fill(tool, clause, facts)
        if not filled.missing:
            return Choice(tool, filled.arguments, clause)
        if made is not None and made.wanting is None:
            made.wanting = (tool.name, filled.missing)
    return None


def rest_of(question: str, calls: Sequence[tuple[IndexedTool, Mapping[str, Any]]]) -> Clause:
    """The question without the words and values that the calls made so far account for."""
    clause = Clause(question, question)
    used: set[str] = set()
    for tool, arguments in calls:
        clause.stems -= {word for word, weight in tool.weights.items() if weight >= 1.0}
        used |= {word for value in arguments.values() if value != question for word in str(value).split()}
    clause.stems -= {stem(word) for word in used}
    clause.pieces = [piece for piece in clause.pieces if piece.text not in used]
    clause.kinds = {piece.kind for piece in clause.pieces}
    return clause


def _score(tool: IndexedTool, clause: Clause) -> float:
    weights = tool.weights
    score = sum([weights[word] for word in clause.stems if word in weights])
    if "id" in clause.kinds and _names_an_id(tool, clause):
        score += _IDENTIFIED
    if score and "number" in clause.kinds and any(one.type in {"integer", "number"} for one in tool.parameters):
        score += _NUMBERS_FIT
    return score


def _names_an_id(tool: IndexedTool, clause: Clause) -> bool:
    """INV-1042 speaks for a tool with an `invoice_id`."""
    prefixes = [p.text.rstrip("0123456789-_#").lower() for p in clause.pieces if p.kind == "id"]
    stems = {word for one in tool.parameters if one.type == "string" for word in one.stems if word != "id"}
    return any(len(prefix) > 1 and any(word.startswith(prefix) for word in stems) for prefix in prefixes)


def _split_choices(parts: list[str], question: str, tools: Sequence[IndexedTool], made: Plan) -> list[Choice]:
    """A call per part; a part that asks for nothing by itself belongs to its neighbours."""
    choices: list[Choice] = []
    waiting: list[str] = []
    for part in parts:
        choice = choose(Clause(part, question), tools, {}, made)
        if choice is None and choices and not waiting:
            choice = _elliptic(part, choices[-1], tools)
        if choice is None:
            waiting.append(part)
            choice = choose(Clause(" and ".join(waiting), question), tools, {}, made) if len(waiting) > 1 else None
        if choice is not None:
            choices.append(choice)
            waiting = []
    if waiting and choices:
        longer = choose(Clause(" and ".join([choices[-1].clause.text, *waiting]), question), tools, {})
        choices[-1] = longer if longer and longer.tool is choices[-1].tool else choices[-1]
    return choices


def _elliptic(part: str, before: Choice, tools: Sequence[IndexedTool]) -> Choice | None:
    """`the weather in Paris and Berlin`: the part stands in the place of the call's last text argument."""
    named = part.strip(" ?.!,")
    values = [value for value in before.arguments.values() if isinstance(value, str) and value in before.clause.text]
    if not values or len(named.split()) > 3 or not (named[:1].isupper() or named[-1:].isdigit()):
        return None
    head, _, tail = before.clause.text.rpartition(values[-1])
    choice = choose(Clause(f"{head}{named}{tail}", before.clause.whole), tools, {})
    return choice if choice and choice.tool is before.tool and choice.arguments != before.arguments else None
