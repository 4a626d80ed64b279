"""Bytes to facts and back. Stored bytes are untrusted: whatever is wrong with them ends in a BadMessage."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar, get_args

import msgspec
import orjson

from trunkline.contracts.errors import BadMessage
from trunkline.contracts.messages import AnyFact, Delta, Fact
from trunkline.contracts.subjects import Subject

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_decoders: dict[str, msgspec.json.Decoder[Any]] = {
    fact.__struct_config__.tag: msgspec.json.Decoder(fact) for fact in get_args(AnyFact)
}
_delta = msgspec.json.Decoder(Delta)


@dataclass(frozen=True)
class Event:
    """One message of the log: what it says, where it stands, when the server stored it."""

    subject: Subject
    sequence: int
    at: datetime
    fact: Fact
    raw: bytes

    @cached_property
    def body(self) -> dict[str, Any]:
        """The body with the fields that this version does not know."""
        body: dict[str, Any] = orjson.loads(self.raw)
        return body


def encode(value: msgspec.Struct) -> bytes:
    return _encoder.encode(value)


def encode_event(event: Event, fact: Fact | None = None) -> bytes:
    """The event's bytes, with what `fact` changes; fields that this version does not know survive."""
    if fact is None:
        return event.raw
    return orjson.dumps(event.body | msgspec.to_builtins(fact))


def decode_fact(kind: str, raw: bytes) -> Fact:
    """The fact that a message of this kind carries. Raises BadMessage, and nothing else."""
    decoder = _decoders.get(kind)
    if decoder is None:
        raise BadMessage(f"unknown kind {kind!r}.")
    fact: Fact = _decode(decoder, raw, kind)
    return fact


def decode_delta(raw: bytes) -> Delta:
    delta: Delta = _decode(_delta, raw, "delta")
    return delta


def decode(raw: bytes, type_: type[T]) -> T:
    """Raises BadMessage."""
    value: T = _decode(msgspec.json.Decoder(type_), raw, type_.__name__)
    return value


def canonical(value: object) -> bytes:
    """One spelling per value: sorted keys, no spaces. Raises BadMessage for what JSON cannot say."""
    try:
        return orjson.dumps(msgspec.to_builtins(value), option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadMessage(f"not a JSON value: {error}", "Steps take and give JSON values only.") from error


def input_hash(*parts: object) -> str:
    """What a step was asked, in 32 hexadecimal digits; another hash at the same step is a divergence."""
    return hashlib.sha256(canonical(parts)).hexdigest()[:32]


def _decode(decoder: msgspec.json.Decoder[Any], raw: bytes, what: str) -> Any:  # its callers narrow it
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        shown = raw[:60].decode(errors="replace")
        raise BadMessage(f"not a {what} message: {error}.", f"It begins with {shown!r}.") from error
