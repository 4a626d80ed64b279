"""Values in a key-value bucket (ADR-8): read, followed, and changed by compare-and-set."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from trunkline.bus.append import EXPECTED_SEQUENCE, PublishAck
from trunkline.bus.follow import follow
from trunkline.bus.objects import NOT_FOUND
from trunkline.contracts.errors import BusUnavailable

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

WAIT_SECONDS = 5.0
_ack = msgspec.json.Decoder(PublishAck)


@dataclass(frozen=True, slots=True)
class Kept:
    """What stands under a key, and its sequence in the bucket's stream: 0 and no data where there is nothing."""

    key: str
    data: bytes = b""
    sequence: int = 0


async def newest(bus: Bus, bucket: str, key: str, *, wait: float = WAIT_SECONDS) -> Kept:
    """As the bucket's leader has it. Raises BusUnavailable."""
    answer = await bus.api(f"STREAM.MSG.GET.KV_{bucket}", {"last_by_subj": _subject(bucket, key)}, wait=wait)
    if error := answer.get("error"):
        if error.get("err_code") == NOT_FOUND:
            return Kept(key)
        raise BusUnavailable(
            f"The bucket {bucket} cannot be read: {error.get('description')}.", "Run `trunkline provision`."
        )
    message = answer["message"]
    return Kept(key, base64.b64decode(message.get("data", "")), message["seq"])


async def put(
    bus: Bus,
    bucket: str,
    key: str,
    data: bytes,
    *,
    expected: int | None = None,
    seconds: int = 0,
    wait: float = WAIT_SECONDS,
) -> int | None:
    """The new value's sequence; None, and nothing is stored, when another than the `expected` one stands there (0: none
    at all). It lives so many seconds, and up to one more, or for ever.

    Raises BusUnavailable; its kind Interrupted when nobody knows.
    """
    headers = {} if expected is None else {EXPECTED_SEQUENCE: str(expected)}
    headers |= {"Nats-TTL": f"{seconds}s"} if seconds else {}
    ack = _ack.decode((await bus.mailbox.request(_subject(bucket, key), data, headers=headers, wait=wait)).data)
    if ack.error is None:
        return ack.seq
    if ack.error.conflict:
        return None
    raise BusUnavailable(f"The bucket {bucket} refused {key}: {ack.error.description}.", "See nats-server's log.")


async def follow_keys(bus: Bus, bucket: str, *filters: str) -> AsyncIterator[list[Kept]]:
    """What stands under the keys, then what is put there; an empty list where nothing more stands there now. Never ends
    by itself. Raises BusUnavailable when the connection is closed for good.
    """
    prefix = _subject(bucket, "")
    subjects = [_subject(bucket, each) for each in filters]
    async for batch in follow(bus, f"KV_{bucket}", filters=subjects, latest=True):
        yield [Kept(message.subject.removeprefix(prefix), message.data, message.sequence) for message in batch]


def _subject(bucket: str, key: str) -> str:
    return f"$KV.{bucket}.{key}"
