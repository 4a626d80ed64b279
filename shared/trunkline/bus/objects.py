"""Large payloads: stored apart, addressed by their content, referred to in the message."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import nats.errors
import nats.js.errors

from trunkline.contracts.codec import decode, encode
from trunkline.contracts.errors import BadMessage, BusUnavailable

if TYPE_CHECKING:
    from nats.js.object_store import ObjectStore

    from trunkline.bus.connection import Bus

BUCKET = "payloads"
INLINE_LIMIT = 64 * 1024
_MARK = b'{"payload":'


class PayloadAddress(msgspec.Struct, frozen=True):
    """Hexadecimal SHA-256 and length in bytes of the body that stands elsewhere."""

    sha256: str
    size: int


class PayloadReference(msgspec.Struct, frozen=True):
    payload: PayloadAddress


async def offload(bus: Bus, raw: bytes) -> bytes:
    """`raw`, or a reference to it when it is too large to travel."""
    if len(raw) <= INLINE_LIMIT:
        return raw
    digest = hashlib.sha256(raw).hexdigest()
    try:
        store = await _store(bus)
        await store.put(digest, raw)
    except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
        raise BusUnavailable(f"A payload of {len(raw)} bytes could not be stored: {error}.") from error
    return encode(PayloadReference(PayloadAddress(digest, len(raw))))


async def resolve(bus: Bus, raw: bytes) -> bytes:
    """The body itself. Raises BadMessage when the reference leads nowhere or to other bytes."""
    if not raw.startswith(_MARK):
        return raw
    address = decode(raw, PayloadReference).payload
    try:
        store = await _store(bus)
        data = (await store.get(address.sha256)).data or b""
    except nats.js.errors.NotFoundError as error:
        raise BadMessage(f"payload {address.sha256} is not in the object store.") from error
    except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
        raise BusUnavailable(f"Payload {address.sha256} could not be read: {error}.") from error
    if hashlib.sha256(data).hexdigest() != address.sha256:
        raise BadMessage(f"payload {address.sha256} holds other bytes than its name says.")
    return data


async def _store(bus: Bus) -> ObjectStore:
    return await bus.client.jetstream().object_store(BUCKET)
