"""Dead letters in words: which message, of which run; its bytes as text, or as a hexadecimal dump."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trunkline.contracts.errors import BadSubject
from trunkline.contracts.ids import tool_name
from trunkline.contracts.subjects import RunKey, Subject, parse_due

if TYPE_CHECKING:
    from trunkline.bus.letters import Letter

_OF_TOOLS = ("call", "started", "approval", "decision")
_PER_LINE = 16


@dataclass(frozen=True, slots=True)
class About:
    """`what` the message is, and the run that it belongs to; None when its subject names none."""

    what: str
    key: RunKey | None = None
    is_timer: bool = False

    @property
    def run(self) -> str:
        return self.key.run if self.key else ""


def about(subject: str) -> About:
    """What a subject says of its message."""
    try:
        parsed = Subject.parse(subject)
    except BadSubject:
        return _timer(subject)
    if parsed.kind == "request":
        return About("request", RunKey.of(parsed))
    name = tool_name(parsed.name) if parsed.kind in _OF_TOOLS else parsed.name
    return About(f"{parsed.kind} {'for ' if parsed.kind == 'result' else ''}{name}", RunKey.of(parsed))


def _timer(subject: str) -> About:
    try:
        key, agent, _ = parse_due(subject)
    except BadSubject:
        return About(subject)
    return About(f"timer of {agent}", key, is_timer=True)


def as_data(letter: Letter) -> dict[str, Any]:
    """A letter for programs, without the message's bytes."""
    said = letter.letter
    told = about(said.subject)
    return {
        "id": letter.id,
        "at": letter.at,
        "service": said.service,
        "message": told.what,
        "run": told.run or None,
        "conversation": told.key.conversation if told.key else None,
        "code": said.code,
        "reason": said.reason,
        "deliveries": said.delivery,
        "subject": said.subject,
        "sequence": said.sequence,
        "size": said.size,
    }


def bytes_as_data(raw: bytes | None) -> dict[str, str | None]:
    """Text where it is text, else base64; neither when the bytes are gone."""
    written = readable(raw) if raw is not None else None
    encoded = base64.b64encode(raw).decode() if raw is not None and written is None else None
    return {"text": written, "base64": encoded}


def readable(raw: bytes) -> str | None:
    """The text, unless it is none."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    return text if all(each.isprintable() or each in "\n\r\t" for each in text) else None


def hex_dump(raw: bytes, most: int) -> list[str]:
    """Lines of offset, octets and the characters that they are in ASCII; at most `most` octets of them."""
    lines = []
    for at in range(0, min(len(raw), most), _PER_LINE):
        part = raw[at : at + _PER_LINE]
        shown = "".join(chr(each) if 0x20 <= each < 0x7F else "." for each in part)
        lines.append(f"{at:06x}  {part.hex(' '):<{_PER_LINE * 3}} {shown}")
    return lines
