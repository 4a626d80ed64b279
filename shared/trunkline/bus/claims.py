"""Claims: of all processes that want the same thing made, one makes it, and the others hear what came of it.

A claim is a key in a bucket that only one can create. Whoever holds it renews it while at work, and in the end puts the
outcome in its place. One that has not been renewed for `expiry` seconds is anybody's to take over: its holder is dead.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Literal

import msgspec

from trunkline.contracts.codec import decode, encode
from trunkline.contracts.errors import BadMessage, BusUnavailable, TrunklineError, TryAgain, by_code
from trunkline.contracts.ids import new_event_id

if TYPE_CHECKING:
    from trunkline.bus.bucket import Bucket
    from trunkline.bus.kept import Kept

OUTCOME_SECONDS = 5.0
"""For so long somebody who missed the hint still finds what came of it."""
LOOK_SECONDS = 1.0
"""A hint may get lost, so whoever waits looks for itself as often."""


class Claim(msgspec.Struct, frozen=True):
    """`left`: its holder was told to stop. `value` is what was made, empty when it is too large to be told; of a
    failure, `code`, `what` and `hint` as its error has them.
    """

    state: Literal["held", "left", "made", "failed"]
    holder: str = ""
    value: bytes = b""
    code: str = ""
    what: str = ""
    hint: str = ""

    @property
    def settled(self) -> bool:
        return self.state in ("made", "failed")

    @property
    def error(self) -> TrunklineError | None:
        """What its maker failed with."""
        return by_code(self.code, self.what, self.hint) if self.state == "failed" else None


_NOBODYS = Claim("left")


class Held:
    """Our claim on a key. Settle it once: `made`, `failed` or `left`. None of them raises: when the bus is away, the
    others go on once the claim has expired.
    """

    def __init__(self, bucket: Bucket, key: str, holder: str, sequence: int, expiry: float) -> None:
        self._bucket = bucket
        self._key = key
        self._holder = holder
        self._sequence = sequence
        self._expiry = expiry

    @contextlib.asynccontextmanager
    async def renewed(self) -> AsyncIterator[None]:
        """Kept from expiring while inside."""
        renewing = asyncio.create_task(self._keep_renewing(), name=f"claim {self._key}")
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def made(self, value: bytes) -> None:
        await self._put(Claim("made", value=value), OUTCOME_SECONDS)

    async def failed(self, error: Exception) -> None:
        known = error if isinstance(error, TrunklineError) else TryAgain(f"{type(error).__name__}: {error}")
        claim = Claim("failed", code=known.code, what=known.what, hint=known.hint)
        await self._put(claim, OUTCOME_SECONDS)

    async def left(self) -> None:
        await self._put(_NOBODYS, OUTCOME_SECONDS)

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(self._expiry / 3)
            await self._put(Claim("held", self._holder), self._expiry)

    async def _put(self, claim: Claim, ttl: float) -> None:
        """In the place of what we put last; a put whose acknowledgement was lost may have been stored."""
        with contextlib.suppress(BusUnavailable):
            sequence = await self._bucket.put(self._key, encode(claim), ttl, expected=self._sequence)
            if sequence is None:
                found = await self._bucket.newest(self._key)
                if _read(found.data).holder == self._holder:
                    sequence = await self._bucket.put(self._key, encode(claim), ttl, expected=found.sequence)
            self._sequence = sequence or self._sequence


class Claims:
    """In a bucket, under keys that begin with `prefix`. `expiry` in seconds."""

    def __init__(self, bucket: Bucket, *, prefix: str = "claim", expiry: float = 10.0) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._expiry = expiry

    async def claim(self, key: str) -> Held | Waiting:
        """Raises BusUnavailable."""
        key = f"{self._prefix}.{key}"
        return await _claim(self._bucket, key, self._expiry, 0) or Waiting(self._bucket, key, self._expiry)


class Waiting:
    """Somebody else holds the claim, or has just done with it."""

    def __init__(self, bucket: Bucket, key: str, expiry: float) -> None:
        self._bucket = bucket
        self._key = key
        self._expiry = expiry
        self._since = asyncio.get_running_loop().time()
        self._sequence = 0
        self._at_work = False

    async def turn(self) -> Held | Claim:
        """What came of it; or our own claim, when it was given up, has expired, or had failed before we asked.

        Raises BusUnavailable when the bus is away.
        """
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        async with self._bucket.watching(self._key, heard.put_nowait):
            while True:
                found = await self._bucket.newest(self._key)
                claim = self._look(found)
                if claim.settled:
                    return claim
                if self._is_free(claim):
                    held = await _claim(self._bucket, self._key, self._expiry, found.sequence)
                    if held:
                        return held
                elif hint := await self._hint(heard):
                    return hint

    def _look(self, found: Kept) -> Claim:
        """What stands there, and since when: an observer's clock alone says whether its holder is dead."""
        claim = _read(found.data)
        if found.sequence != self._sequence:
            self._sequence, self._since = found.sequence, asyncio.get_running_loop().time()
        self._at_work = self._at_work or claim.state == "held"
        return claim if claim.state != "failed" or self._at_work else _NOBODYS

    def _is_free(self, claim: Claim) -> bool:
        return claim.state == "left" or self._seconds_left() <= 0

    def _seconds_left(self) -> float:
        return self._since + self._expiry - asyncio.get_running_loop().time()

    async def _hint(self, heard: asyncio.Queue[bytes]) -> Claim | None:
        """An outcome as soon as it is told; None when it is time to look."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(self._seconds_left(), LOOK_SECONDS)):
                claim = _read(await heard.get())
                return claim if claim.settled else None
        return None


async def _claim(bucket: Bucket, key: str, expiry: float, expected: int) -> Held | None:
    """None when somebody else was quicker."""
    holder = new_event_id()
    sequence = await bucket.put(key, encode(Claim("held", holder)), expiry, expected=expected)
    return Held(bucket, key, holder, sequence, expiry) if sequence else None


def _read(data: bytes) -> Claim:
    """One that cannot be read, or was deleted, is nobody's."""
    try:
        return decode(data, Claim)
    except BadMessage:
        return _NOBODYS
