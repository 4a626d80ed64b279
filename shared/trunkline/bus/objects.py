"""Large payloads: stored apart, addressed by their content, referred to in the message.

Written once and as ADR-20 lays it out: the object's chunks first, then its description. Read chunk by chunk with
direct gets, which end by themselves whatever is missing.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any

import msgspec
import nats.errors
import nats.js.errors
import orjson

from trunkline.bus.stored import from_direct_get
from trunkline.contracts.codec import decode, encode
from trunkline.contracts.errors import BadMessage, BusUnavailable

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

BUCKET = "payloads"
INLINE_LIMIT = 64 * 1024
LARGEST = 32 * 1024 * 1024
READ_SECONDS = 10.0
NOT_FOUND = 10037
_STREAM = f"OBJ_{BUCKET}"
_CHUNKS_AT_ONCE = 16
_MARK = b'{"payload":'
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NUID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class PayloadAddress(msgspec.Struct, frozen=True):
    """Hexadecimal SHA-256 and length in bytes of the body that stands elsewhere."""

    sha256: str
    size: int


class PayloadReference(msgspec.Struct, frozen=True):
    payload: PayloadAddress


class _Object(msgspec.Struct, frozen=True):
    """An object's description, as far as we look at it; a link to another has no `nuid`."""

    nuid: str = ""
    size: int = 0
    digest: str = ""
    deleted: bool = False

    def is_of(self, address: PayloadAddress) -> bool:
        return (
            not self.deleted
            and self.size == address.size
            and self.digest == _digest(address)
            and _NUID.fullmatch(self.nuid) is not None
        )


async def offload(bus: Bus, raw: bytes) -> bytes:
    """`raw`, or a reference to it when it is too large to travel.

    What is stored already stays as it is: putting it again would take the chunks away from whoever reads them.
    Raises BusUnavailable; BadMessage when it is too large to be stored.
    """
    if len(raw) <= INLINE_LIMIT:
        return raw
    if len(raw) > LARGEST:
        raise BadMessage(f"a body of {len(raw):,} bytes is too large.", f"At most {LARGEST:,} can be stored.")
    address = PayloadAddress(hashlib.sha256(raw).hexdigest(), len(raw))
    found = await _described(bus, address)
    if found is None or not found.is_of(address):
        await _put(bus, address, raw)
    return encode(PayloadReference(address))


async def resolve(bus: Bus, raw: bytes) -> bytes:
    """The body itself. Raises BadMessage when the reference leads nowhere or to other bytes, BusUnavailable."""
    if not raw.startswith(_MARK):
        return raw
    address = decode(raw, PayloadReference).payload
    if not _SHA256.fullmatch(address.sha256) or not 0 <= address.size <= LARGEST:
        raise BadMessage(f"payload {address.sha256[:80]!r} of {address.size} bytes cannot be one.")
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await _read(bus, address)
    except TimeoutError as error:
        raise BusUnavailable(f"Payload {address.sha256} could not be read within {READ_SECONDS:g} s.") from error


async def _read(bus: Bus, address: PayloadAddress) -> bytes:
    """A replica may lag behind, and the chunks may be replaced while they are read; so look more than once."""
    for pause in (0.0, 0.1, 0.4):
        await asyncio.sleep(pause)
        found = await _described(bus, address)
        if found is None:
            raise BadMessage(f"payload {address.sha256} is not in the object store.")
        if not found.is_of(address):
            raise BadMessage(f"payload {address.sha256} is stored as something else.")
        data = await _chunks(bus, found)
        if hashlib.sha256(data).hexdigest() == address.sha256:
            return data
    raise BadMessage(f"payload {address.sha256} holds other bytes than its name says.")


async def _described(bus: Bus, address: PayloadAddress) -> _Object | None:
    """As the store's leader has it; one that cannot be read describes nothing. Raises BusUnavailable."""
    name = base64.urlsafe_b64encode(address.sha256.encode()).decode()
    answer = await bus.api(f"STREAM.MSG.GET.{_STREAM}", {"last_by_subj": f"$O.{BUCKET}.M.{name}"})
    if error := answer.get("error"):
        if error.get("err_code") == NOT_FOUND:
            return None
        raise BusUnavailable(f"The payloads cannot be read: {error.get('description')}.")
    return _description(answer["message"])


def _description(message: dict[str, Any]) -> _Object:
    try:
        return decode(base64.b64decode(message.get("data", "")), _Object)
    except BadMessage:
        return _Object()


async def _chunks(bus: Bus, found: _Object) -> bytes:
    """What is there of the object's bytes, at most about as many as it should have. Raises BusUnavailable."""
    data, after = bytearray(), 0
    while len(data) < found.size:
        body = {"next_by_subj": f"$O.{BUCKET}.C.{found.nuid}", "seq": after + 1, "batch": _CHUNKS_AT_ONCE}
        replies, _ = await bus.mailbox.collect(f"$JS.API.DIRECT.GET.{_STREAM}", orjson.dumps(body))
        if not replies:
            break
        for reply in replies:
            data += reply.data
        after = from_direct_get(replies[-1]).sequence
    return bytes(data)


async def _put(bus: Bus, address: PayloadAddress, raw: bytes) -> None:
    try:
        store = await bus.client.jetstream().object_store(BUCKET)
        await store.put(address.sha256, raw)
    except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
        raise BusUnavailable(f"A payload of {address.size} bytes could not be stored: {error}.") from error


def _digest(address: PayloadAddress) -> str:
    """As ADR-20 spells it."""
    return f"SHA-256={base64.urlsafe_b64encode(bytes.fromhex(address.sha256)).decode()}"
