"""A stored message becomes its row, and the event that it says when it says one. Never an exception for its bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from trunkline.contracts.codec import Event, decode_fact
from trunkline.contracts.errors import WireViolation
from trunkline.contracts.ids import TOKEN
from trunkline.contracts.subjects import Subject
from trunkline_ledger.believable import text
from trunkline_ledger.rows import EventRow
from trunkline_ledger.stream import Resolve, StoredMessage

PROBLEM_CHARACTERS = 400
SUBJECT_CHARACTERS = 4096
_COLUMNS = ("tenant", "conversation", "run", "kind", "name", "step")


@dataclass(frozen=True, slots=True)
class Reading:
    """`event` is None when the message says nothing that this version understands."""

    row: EventRow
    event: Event | None = None

    def doubted(self, error: WireViolation) -> "Reading":
        return Reading(replace(self.row, problem=_problem(error)))


async def read(message: StoredMessage, resolve: Resolve) -> Reading:
    """Raises what `resolve` raises for a body that cannot be had at the moment."""
    try:
        subject = Subject.parse(message.subject)
    except WireViolation as error:
        return Reading(_row(message, _tokens(message.subject))).doubted(error)
    row = _row(message, {name: getattr(subject, name) for name in _COLUMNS})
    try:
        body = await resolve(message.data)
        fact = decode_fact(subject.kind, body)
    except WireViolation as error:
        return Reading(row).doubted(error)
    return Reading(row, Event(subject, message.sequence, message.at, fact, body))


def _row(message: StoredMessage, tokens: Mapping[str, str]) -> EventRow:
    return EventRow(
        sequence=message.sequence,
        subject=text(message.subject, SUBJECT_CHARACTERS),
        at=message.at,
        size=len(message.data),
        body=message.data,
        **tokens,
    )


def _tokens(subject: str) -> dict[str, str]:
    """The tokens of a subject that has the log's shape, also when its kind is of another version."""
    first, *tokens = subject.split(".")
    if first != "trunk" or len(tokens) != len(_COLUMNS) or not all(map(TOKEN.fullmatch, tokens)):
        return {}
    return dict(zip(_COLUMNS, tokens, strict=True))


def _problem(error: WireViolation) -> str:
    # Without the hint, which is for people and need not be the same in every process.
    return text(error.what, PROBLEM_CHARACTERS)
