"""One session with an MCP server. The client has to be entered and left by one task: the keeper, who does only that."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from trunkline.contracts.errors import ToolFailed
from trunkline_tools.settings import McpServer

if TYPE_CHECKING:
    from mcp import Client
    from mcp.client import Transport
    from mcp_types import Tool

CONNECT_SECONDS = 30.0
LEAVE_SECONDS = 10.0
MAX_PAGES = 100


class Connection:
    """`tools` is what the server listed when it was opened; `lost` turns true when the server goes away."""

    def __init__(self, name: str, server: McpServer) -> None:
        self.tools: tuple[Tool, ...] = ()
        self._name = name
        self._server = server
        self._client: Client | None = None
        self._leave = asyncio.Event()
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def lost(self) -> bool:
        return self._leave.is_set()

    def give_up(self) -> None:
        """Have the keeper leave; the next call needs another connection."""
        self._leave.set()

    async def open(self) -> "Client":
        """Raises ToolFailed."""
        self._keeper = asyncio.create_task(self._keep(), name=f"mcp-{self._name}")
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._ready
        except TimeoutError:
            await self.close()
            raise self._unreachable(f"it said nothing for {CONNECT_SECONDS:g} s") from None
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        self._leave.set()
        if self._keeper is None:
            return
        await asyncio.wait({self._keeper}, timeout=LEAVE_SECONDS)
        if not self._keeper.done():
            self._keeper.cancel()
            await asyncio.wait({self._keeper})

    async def _keep(self) -> None:
        from mcp import Client

        try:
            transport = _watched(_transport(self._server), self._leave.set)
            async with Client(transport) as client:
                self.tools = await _all_tools(client)
                if not self._ready.done():
                    self._ready.set_result(client)
                await self._leave.wait()
        except Exception as error:  # noqa: BLE001  # whatever a transport raises means the same: no connection
            if not self._ready.done():
                self._ready.set_exception(self._unreachable(_first_line(error)))
        finally:
            self._leave.set()

    def _unreachable(self, why: str) -> ToolFailed:
        where = self._server.url or " ".join(self._server.command)
        return ToolFailed(
            f"the MCP server {self._name} cannot be reached: {why}.",
            f"See whether this works: {where}",
            reason="killed",
        )


async def _all_tools(client: "Client") -> "tuple[Tool, ...]":
    tools: list[Tool] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor, cache_mode="refresh")
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None:
            break
    return tuple(tools)


def _transport(server: McpServer) -> "Transport":
    if server.url:
        from mcp.client.streamable_http import streamable_http_client

        return streamable_http_client(server.url)
    from mcp import StdioServerParameters, stdio_client

    command, *arguments = server.command
    # The client passes on PATH, HOME, SHELL, TERM and the user's name, and nothing else.
    parameters = StdioServerParameters(command=command, args=arguments, env=dict(server.env))
    return stdio_client(parameters, errlog=sys.__stderr__ or sys.stderr)


@asynccontextmanager
async def _watched(transport: "Transport", on_end: Callable[[], None]) -> AsyncIterator[Any]:
    """The transport; `on_end` is called when the server has closed its side."""
    async with transport as (read, write):
        yield _WatchedStream(read, on_end), write


class _WatchedStream:
    """A read stream of the client's, as its dispatcher uses it."""

    def __init__(self, stream: Any, on_end: Callable[[], None]) -> None:
        self._stream = stream
        self._on_end = on_end

    @property
    def last_context(self) -> object:
        return getattr(self._stream, "last_context", None)

    def __aiter__(self) -> "_WatchedStream":
        return self

    async def __anext__(self) -> object:
        try:
            return await self._stream.__anext__()
        except BaseException:
            self._on_end()
            raise

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stream.__aexit__(*failure)

    async def receive(self) -> object:
        return await self._stream.receive()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _first_line(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__
