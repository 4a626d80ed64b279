"""What a note says, in a few words. The data are anybody's: what is missing or of another shape is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from trunkline.cli.figures import count, dollars, short
from trunkline.contracts.savings import SAVING
from trunkline.contracts.verdicts import CHECKED, ESCALATED, KEPT

Data = Mapping[str, Any]
LEVERS = {
    "answer_cache": "answer given before",
    "alike_cache": "answer to a like question",
    "model_cache": "reply given before",
    "tier": "smaller model",
    "history": "shorter history",
    "tools": "fewer tools told of",
    "results": "shorter tool results",
}


def words(what: str, data: Data) -> str:
    """Empty for a note that this version has no words for."""
    told = WORDS.get(what)
    return told(data) if told else ""


def bad(what: str) -> bool:
    """Whether the note tells of something that went wrong."""
    return what in ("refused", KEPT)


def lever_words(lever: str) -> str:
    return LEVERS.get(lever, lever.replace("_", " "))


def _saving(data: Data) -> str:
    lever = lever_words(_text(data, "lever"))
    tokens = data.get("tokens")
    parts = [f"{_amount(data, 'cost')} saved" if _is_amount(data, "cost") else ""]
    parts += [f"about {count(tokens)} tokens not sent" if isinstance(tokens, int) and tokens > 0 else ""]
    parts += [lever, f"of run {short(_text(data, 'of'))}" if data.get("of") else ""]
    return " · ".join(filter(None, parts))


def _warning(data: Data) -> str:
    said = f"{_amount(data, 'spent')} of {_amount(data, 'limit')} spent or held back: {_budget(data)}"
    return f"{said}, {_resets(data)}" if data.get("resets") else said


def _refused(data: Data) -> str:
    left = f"{_amount(data, 'left')} of {_amount(data, 'limit')} left, {_amount(data, 'needed')} needed"
    return ", ".join(filter(None, [f"over budget: {_budget(data)}, {left}", _resets(data)]))


def _cheaper(data: Data) -> str:
    asked = f"{_text(data, 'model')} asked instead" if data.get("model") else "a cheaper model asked instead"
    most = data.get("max_output_tokens")
    brief = f", for {count(most)} tokens at most" if isinstance(most, int) and most > 0 else ""
    return f"{asked}{brief}: {_budget(data)} has {_amount(data, 'left')} left"


def _unused(data: Data) -> str:
    return f"{_paid(data)}: another attempt's reply was there first"


def _classified(data: Data) -> str:
    label = _text(data, "label")
    said = f"for {label}" if label else _text(data, "error") or "for nobody"
    return f"{_paid(data)} · {said}"


def _checked(data: Data) -> str:
    return "the answer passed its check" if data.get("passed") is True else _text(data, "why")


def _escalated(data: Data) -> str:
    return f"the {_text(data, 'to')} tier is asked instead"


def _kept(data: Data) -> str:
    return f"the answer stands, though it did not pass its check: {_text(data, 'why')}"


def _paid(data: Data) -> str:
    cost = _amount(data, "cost") if _is_amount(data, "cost") else "cost unknown"
    return " · ".join(filter(None, [cost, _text(data, "model")]))


def _classify(data: Data) -> str:
    held = f", at most {_amount(data, 'reserved')}" if _is_amount(data, "reserved") else ""
    return f"{_text(data, 'model')} is asked whom it is for{held}"


def _again(data: Data) -> str:
    following = f", then {_text(data, 'next')}" if data.get("next") else ""
    return f"{_text(data, 'model')} failed: {_text(data, 'message') or _text(data, 'code')}{following}"


def _budget(data: Data) -> str:
    """`budget of user anna for today`, as what a refused call is told."""
    kind, who = _text(data, "kind"), _text(data, "who")
    owner, _, window = kind.partition("-")
    if not window:
        return f"budget of this {owner}" if owner else "budget"
    return f"budget of {owner} {who} for {'today' if window == 'day' else f'this {window}'}"


def _resets(data: Data) -> str:
    when = _text(data, "resets").partition("+")[0]
    return f"anew at {when.replace('T', ' ')[:16]} UTC" if when else ""


def _amount(data: Data, name: str) -> str:
    return dollars(_text(data, name) or None)


def _is_amount(data: Data, name: str) -> bool:
    try:
        return Decimal(_text(data, name)).is_finite()
    except InvalidOperation:
        return False


def _text(data: Data, name: str) -> str:
    value = data.get(name)
    return "" if value is None else str(value)[:400]


WORDS: dict[str, Callable[[Data], str]] = {
    SAVING: _saving,
    "budget_warning": _warning,
    "refused": _refused,
    "cheaper": _cheaper,
    "unused": _unused,
    "classify": _classify,
    "classified": _classified,
    "retry": _again,
    CHECKED: _checked,
    ESCALATED: _escalated,
    KEPT: _kept,
}
