"""A real HTTP server that speaks OpenAI's protocol and does to each request what the test says."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

# It takes seconds of CPU time, which no question in a test should wait for.
import pydantic_ai.models.openai  # noqa: F401


@dataclass(frozen=True)
class Reply:
    """`body` is sent, then the connection is closed; or it is held, with `trickle` again and again while it stands.
    `free`: nothing is sent before it is set.
    """

    body: bytes
    hold: bool = False
    trickle: bytes = b""
    free: asyncio.Event | None = None


@dataclass
class Provider:
    """Answers each request with the next of its `replies`, and with the last one ever after.

    `questions` are the texts of the users' last messages; `left` is set when a client closes a connection that is held.
    """

    replies: Sequence[Reply]
    questions: list[str] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Provider]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="provider")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            asked = json.loads(await reader.readexactly(length))
            self.questions.append(asked["messages"][-1]["content"])
            await self._answer(self.replies[min(len(self.questions), len(self.replies)) - 1], reader, writer)

    async def _answer(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if reply.free:
            await reply.free.wait()
        with contextlib.suppress(ConnectionError):  # whoever leaves with something unread resets the connection
            writer.write(reply.body)
            await writer.drain()
            while reply.hold and not reader.at_eof():
                writer.write(reply.trickle)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await reader.read()
        if reply.hold:
            self.left.set()


def says(text: str) -> Reply:
    return Reply(_stream({"content": text}, "stop") + b"data: [DONE]\n\n")


def begins(text: str, trickle: str = "") -> Reply:
    """The answer begins, and the connection is held: in silence, or with more and more text."""
    return Reply(_stream({"content": text}), hold=True, trickle=_event({"content": trickle}) if trickle else b"")


def refuses(status: int, message: str = "No.", *, code: str = "", headers: str = "") -> Reply:
    """`headers` are whole lines, with `\\r\\n`."""
    body = json.dumps({"error": {"message": message, "type": "error", "code": code or None}}).encode()
    head = f"HTTP/1.1 {status} No\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    return Reply(head.encode() + body)


def _stream(delta: dict[str, Any], finish: str | None = None) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    return head + _event(delta, finish)


def _event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": finish}
    usage = {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21} if finish else None
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(chunk | ({'usage': usage} if usage else {}))}\n\n".encode()
