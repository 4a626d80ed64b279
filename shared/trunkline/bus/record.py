"""A message of the log as a line of a file, and back: nothing is lost on the way."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from trunkline.bus.objects import LARGEST, resolve
from trunkline.contracts.errors import BadMessage, WireViolation

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus
    from trunkline.bus.stored import StoredMessage

LARGEST_LINE = 2 * LARGEST
_json = msgspec.json.Decoder()


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. `body` is the message's JSON byte for byte; what is no JSON, or not on one line, stands in `base64`.

    `apart`: the body stood in the object store, and the message had a reference to it.
    """

    sequence: int
    at: datetime
    subject: str
    headers: dict[str, str] = {}
    body: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    base64: str = ""
    apart: bool = False

    @property
    def data(self) -> bytes:
        """The body's bytes. Raises BadMessage."""
        if self.body is not msgspec.UNSET:
            return bytes(self.body)
        try:
            return base64.b64decode(self.base64, validate=True)
        except binascii.Error as error:
            raise BadMessage(f"its base64 is none: {error}.") from error


_record = msgspec.json.Decoder(Record)


async def record_of(bus: Bus, message: StoredMessage) -> bytes:
    """The line, without its end. A reference that leads nowhere is kept as it is. Raises BusUnavailable."""
    try:
        data = await resolve(bus, message.data)
    except WireViolation:
        data = message.data
    inline = _on_one_line(data)
    record = Record(
        sequence=message.sequence,
        at=message.at,
        subject=message.subject,
        headers=dict(message.headers or {}),
        body=msgspec.Raw(data) if inline else msgspec.UNSET,
        base64="" if inline else base64.b64encode(data).decode(),
        apart=data is not message.data,
    )
    return msgspec.json.encode(record)


def read_record(line: bytes) -> Record:
    """Raises BadMessage."""
    if len(line) > LARGEST_LINE:
        raise BadMessage(f"it has {len(line):,} bytes.", f"A line has at most {LARGEST_LINE:,}.")
    try:
        record = _record.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"it is no event: {str(error).rstrip('.')}.") from error
    if record.at.tzinfo is None:
        raise BadMessage("its time has no zone.", "Write one like 2026-01-31T09:30:00Z.")
    return record


def _on_one_line(data: bytes) -> bool:
    if not data or b"\n" in data or data != data.strip():
        return False
    try:
        _json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return False
    return True
