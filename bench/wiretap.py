"""Everything that is said on the bus in a few runs, by kind: what a run costs in messages, stored or not."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import nats
from nats.aio.msg import Msg

_SETTLE = 0.5


async def overheard(url: str, work: Callable[[], Awaitable[object]]) -> Counter[str]:
    """Messages by kind while `work` is done. Replies are counted apart from what they answer."""
    heard: Counter[str] = Counter()

    async def hear(message: Msg) -> None:
        heard[kind(message)] += 1

    client = await nats.connect(url, name="wiretap")
    await client.subscribe(">", cb=hear, pending_msgs_limit=-1, pending_bytes_limit=-1)
    await asyncio.sleep(_SETTLE)
    heard.clear()
    await work()
    await asyncio.sleep(_SETTLE)
    await client.close()
    return heard


def kind(message: Msg) -> str:
    tokens = message.subject.split(".")
    match tokens:
        case ["trunk" | "raw", *_] if message.reply.startswith("$JS.ACK"):
            return "delivery"
        case ["trunk" | "raw", *_]:
            return "fact"
        case ["live", *_]:
            return "live text"
        case ["$KV", *_]:
            return "registry beat"
        case ["$JS", "ACK", *_]:
            return message.data.decode() or "+ACK"
        case ["$JS", "API", "CONSUMER", "MSG", "NEXT", *_]:
            return "MSG.NEXT"
        case ["$JS", "API", *call]:
            return ".".join(word for word in call[:3] if word.isupper() and word not in {"TRUNK", "RAW"})
        case ["_INBOX", *_]:
            return f"reply {status}" if (status := (message.headers or {}).get("Status")) else "reply"
    return tokens[0]
