"""Fills a tool's arguments from what was said: the specific first, then what is left, each piece once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trunkline.models.offline.catalog import IndexedTool, Parameter
from trunkline.models.offline.values import MISSING, known, numeric, occurs
from trunkline.models.offline.words import PREPOSITIONS, WEAK, Piece, pieces

_NEAR = 2
_NEGATIONS = {"no", "not", "without", "don't", "never"}


@dataclass(slots=True)
class Clause:
    """One thing that was asked, in pieces. `whole` is the question that it is a part of."""

    text: str
    whole: str
    pieces: list[Piece] = field(init=False)
    stems: set[str] = field(init=False)
    kinds: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.pieces = pieces(self.text)
        self.stems = {piece.stem for piece in self.pieces if piece.stem}
        self.kinds = {piece.kind for piece in self.pieces}


@dataclass(slots=True)
class Filled:
    """The arguments that could be filled, and the required ones that could not."""

    arguments: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def fill(tool: IndexedTool, clause: Clause, facts: Mapping[str, Any]) -> Filled:
    """`facts` are scalars from earlier results: an argument of the same name takes its value from there."""
    work = _Filling(tool, clause)
    filled = Filled()
    for step in (lambda parameter: known(parameter, facts), work.chosen, work.typed, work.labelled):
        _take(step, tool.parameters, filled)
    required = [parameter for parameter in tool.parameters if parameter.required]
    for step in (work.in_order, work.left_over):
        _take(step, required, filled)
    filled.missing = [parameter.name for parameter in required if parameter.name not in filled.arguments]
    return filled


def _take(step: Callable[[Parameter], Any], parameters: Sequence[Parameter], filled: Filled) -> None:
    for parameter in parameters:
        if parameter.name not in filled.arguments and (value := step(parameter)) is not MISSING:
            filled.arguments[parameter.name] = value


class _Filling:
    def __init__(self, tool: IndexedTool, clause: Clause) -> None:
        self.tool = tool
        self.clause = clause
        self.used: set[int] = set()

    def chosen(self, parameter: Parameter) -> Any:  # arguments are JSON
        """A value of the enum that occurs; the longest, so that `express_plus` wins over `express`."""
        said = self.clause.text.casefold()
        occurring = [one for one in parameter.choices if occurs(str(one).casefold(), said)]
        if occurring:
            return max(occurring, key=lambda one: len(str(one)))
        return parameter.choices[0] if len(parameter.choices) == 1 and parameter.required else MISSING

    def typed(self, parameter: Parameter) -> Any:
        """What only this parameter can mean: the question, a pattern, an address, a date, an identifier, yes or no."""
        if parameter.type == "boolean":
            return self._yes_or_no(parameter)
        if parameter.type != "string" or parameter.choices:
            return MISSING
        if parameter.pattern is not None:
            match = parameter.pattern.search(self.clause.text)
            return match.group() if match and match.group() else MISSING
        if parameter.wants == "question":
            return self.clause.whole
        wanted = parameter.wants in {"email", "url", "date"}
        return self._first(lambda piece: piece.kind == parameter.wants) if wanted else self._identifier(parameter)

    def labelled(self, parameter: Parameter) -> Any:
        """What stands beside the parameter's own name: `invoice 17`, `500 cents`, `to Paris`."""
        if parameter.type in {"integer", "number"}:
            return self._number(lambda at: self._near(at, parameter), parameter)
        if parameter.type != "string" or parameter.choices or parameter.wants in {"email", "url", "date"}:
            return MISSING
        for at, piece in enumerate(self.clause.pieces[:-1]):
            if piece.text.lower() in parameter.stems and (run := self._run(at + 1)):
                self.used.update(run)
                return self._slice(run)
        return MISSING

    def in_order(self, parameter: Parameter) -> Any:
        """The next value of the right type."""
        if parameter.type in {"integer", "number"}:
            return self._number(_any, parameter)
        if parameter.type == "array":
            return self._many(parameter)
        if parameter.type == "boolean":
            return False
        if parameter.type != "string" or parameter.choices or parameter.pattern is not None:
            return MISSING
        quoted = self._first(lambda piece: piece.kind == "quoted")
        if quoted is not MISSING or parameter.wants in {"query", "email", "url", "date"}:
            return quoted
        wanted = {"number"} if parameter.wants == "id" else set()
        numbered = self._first(lambda piece: piece.kind in wanted)
        return self._proper_noun() if numbered is MISSING else numbered

    def left_over(self, parameter: Parameter) -> Any:
        """The salient rest, from the first telling word to the last; after the preposition when there is one."""
        if parameter.type != "string" or parameter.choices or parameter.pattern is not None:
            return MISSING
        if parameter.wants in {"email", "url", "date", "id"}:
            return MISSING
        salient = [at for at, piece in enumerate(self.clause.pieces) if at not in self.used and self._tells(piece)]
        if not salient:
            return MISSING
        if parameter.wants != "query":
            salient = self._after_preposition(salient)
        run = range(salient[0], salient[-1] + 1)
        self.used.update(run)
        return self._slice(run)

    def _tells(self, piece: Piece) -> bool:
        if piece.kind != "word":
            return piece.kind not in {"sign", "quoted"}
        return bool(piece.stem) and piece.stem not in self.tool.name_stems and piece.stem not in WEAK

    def _after_preposition(self, salient: list[int]) -> list[int]:
        spoken = self.clause.pieces
        last = max((at for at, piece in enumerate(spoken) if piece.text.lower() in PREPOSITIONS), default=-1)
        return [at for at in salient if at > last] or salient

    def _first(self, fits: Callable[[Piece], bool]) -> Any:
        for at, piece in enumerate(self.clause.pieces):
            if at not in self.used and fits(piece):
                self.used.add(at)
                return piece.text
        return MISSING

    def _identifier(self, parameter: Parameter) -> Any:
        """INV-1042 goes to `invoice_id` rather than to `order_id`; to any id when no prefix speaks against it."""
        free = [(at, p) for at, p in enumerate(self.clause.pieces) if p.kind == "id" and at not in self.used]
        for at, piece in free:
            prefix = piece.text.rstrip("0123456789-_#").lower()
            if prefix and any(one.startswith(prefix) or prefix.startswith(one) for one in parameter.stems - {"id"}):
                self.used.add(at)
                return piece.text
        if free and parameter.wants == "id":
            self.used.add(free[0][0])
            return free[0][1].text
        return MISSING

    def _yes_or_no(self, parameter: Parameter) -> Any:
        for at, piece in enumerate(self.clause.pieces):
            if piece.stem and piece.stem in parameter.stems:
                before = {one.text.lower() for one in self.clause.pieces[max(0, at - _NEAR) : at]}
                return not before & _NEGATIONS
        return MISSING

    def _number(self, fits: Callable[[int], bool], parameter: Parameter) -> Any:
        for at, piece in enumerate(self.clause.pieces):
            if at in self.used or piece.kind != "number" or not fits(at):
                continue
            value = numeric(piece.text, parameter, money=self._is_money(piece))
            if value is not MISSING:
                self.used.add(at)
                return value
        return MISSING

    def _near(self, at: int, parameter: Parameter) -> bool:
        around = self.clause.pieces[max(0, at - _NEAR) : at] + self.clause.pieces[at + 1 : at + 2]
        if any(piece.stem in parameter.stems for piece in around if piece.stem):
            return True
        return bool(parameter.stems & {"amount", "price", "cent", "cost"}) and self._is_money(self.clause.pieces[at])

    def _is_money(self, piece: Piece) -> bool:
        return self.clause.text[max(0, piece.start - 1) : piece.start] in {"$", "€", "£"}

    def _many(self, parameter: Parameter) -> Any:
        one = Parameter(parameter.name, parameter.items, required=True, wants="", stems=parameter.stems)
        numbers = parameter.items in {"integer", "number"}
        values: list[Any] = []
        while (value := self._number(_any, one) if numbers else self._string()) is not MISSING:
            values.append(value)
        return values or MISSING

    def _string(self) -> Any:
        found = self._first(lambda piece: piece.kind in {"quoted", "id", "email", "url"})
        return self._proper_noun() if found is MISSING else found

    def _proper_noun(self) -> Any:
        """The next capitalised words that do not begin the clause."""
        spoken = self.clause.pieces
        for at in range(1, len(spoken)):
            if self._is_name(at):
                end = at + 1
                while end < len(spoken) and self._is_name(end) and spoken[end].start == spoken[end - 1].end + 1:
                    end += 1
                self.used.update(range(at, end))
                return self._slice(range(at, end))
        return MISSING

    def _is_name(self, at: int) -> bool:
        piece = self.clause.pieces[at]
        return at not in self.used and piece.kind == "word" and piece.text[0].isupper() and self._tells(piece)

    def _run(self, start: int) -> range:
        """The telling words from `start` on, up to the next word that means nothing by itself."""
        end = start
        spoken = self.clause.pieces
        while end < len(spoken) and end not in self.used and self._tells(spoken[end]):
            end += 1
        return range(start, end)

    def _slice(self, run: range) -> str:
        if len(run) == 1:
            return self.clause.pieces[run[0]].text
        return self.clause.text[self.clause.pieces[run[0]].start : self.clause.pieces[run[-1]].end]


def _any(_: int) -> bool:
    return True
