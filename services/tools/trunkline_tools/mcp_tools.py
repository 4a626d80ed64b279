"""The tools of an MCP server behind the same interface as our own: they run over there, at their isolation."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import structlog

from trunkline.contracts.errors import InvalidName, ToolFailed
from trunkline.contracts.ids import checked_token, tool_token
from trunkline.contracts.messages import Failure
from trunkline.contracts.registry import ToolCard
from trunkline_tools.mcp_connection import Connection
from trunkline_tools.mcp_reply import read_result
from trunkline_tools.sandbox.contract import Outcome
from trunkline_tools.sandbox.verdict import failed
from trunkline_tools.schema import ArgumentSchema, BadSchema
from trunkline_tools.settings import McpServer, mcp_servers

if TYPE_CHECKING:
    from mcp import Client, MCPError
    from mcp_types import RequestParamsMeta

SESSION_GONE = "Session terminated"
log = structlog.get_logger("trunkline.tools")


@dataclass(frozen=True, slots=True)
class Offered:
    """A tool as the server names it, our card for it, and what it takes."""

    remote: str
    card: ToolCard
    schema: ArgumentSchema


def mcp_sandboxes(config: Path | None, executor: str = "") -> Iterator[tuple[str, "McpTools"]]:
    """One for each server of the settings file. Raises InvalidSettings."""
    for name, server in mcp_servers(config).items():
        yield name, McpTools(name, server, executor=executor)


class McpTools:
    """Tools are called `<name>.<tool>`. Entering raises ToolFailed when the server cannot be reached; a server that
    goes away later is reached again at the next call.
    """

    def __init__(self, name: str, server: McpServer, *, executor: str = "") -> None:
        self._name = checked_token(name, "MCP server")
        self._server = server
        self._executor = executor
        self._isolation = "mcp-http" if server.url else "mcp-stdio"
        self._opening = asyncio.Lock()
        self._connection: Connection | None = None
        self._client: Client | None = None
        self._offers: dict[str, Offered] = {}

    async def __aenter__(self) -> Self:
        await self._connected()
        return self

    async def __aexit__(self, *failure: object) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def describe(self) -> tuple[ToolCard, ...]:
        await self._connected()
        return tuple(offer.card for offer in self._offers.values())

    async def call(
        self,
        tool: str,
        arguments: dict[str, Any],
        *,
        timeout: float,
        call_id: str,
        reconcile: bool = False,  # noqa: ARG002  # a server has no reconcile functions, and its cards say so
    ) -> Outcome:
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(timeout):
                value, error = await self._call(tool, arguments, call_id)
        except TimeoutError:
            hint = "Ask for less, or raise its timeout. Whether it had its effect is not known."
            value, error = None, failed(tool, "hung", f"did not return within {timeout:g} s", hint)
        took = (time.perf_counter() - begun) * 1000
        return Outcome(value=value, error=error, duration_ms=took, isolation=self._isolation)

    async def _call(self, tool: str, arguments: dict[str, Any], call_id: str) -> tuple[Any, Failure | None]:
        try:
            client = await self._connected()
            offer = self._offers.get(tool)
            if offer is None:
                known = ", ".join(self._offers)
                return None, Failure(
                    code="unknown_tool", message=f"no tool {tool!r} here.", hint=f"There are: {known}."
                )
            refusal = offer.schema.refusal(tool, arguments)
            if refusal is not None:
                return None, refusal
            return await self._ask(client, offer, arguments, call_id)
        except ToolFailed as error:
            data = {"reason": "not_started", "passing": True}
            return None, Failure(code=error.code, message=error.what, hint=error.hint, data=data)

    async def _ask(
        self, client: "Client", offer: Offered, arguments: dict[str, Any], call_id: str
    ) -> tuple[Any, Failure | None]:
        from mcp import MCPError

        try:
            meta = cast("RequestParamsMeta", {"trunkline/call-id": call_id})
            result = await client.call_tool(offer.remote, arguments, meta=meta)
        except MCPError as error:
            return None, self._protocol_failure(offer.card.tool, error)
        except (RuntimeError, ValueError) as error:  # the result breaks the protocol, or the tool's own output schema
            what = f"returned what its server's schema refuses: {str(error)[:500]}"
            return None, failed(offer.card.tool, "bad_output", what, "The server has to be mended.")
        return read_result(offer.card.tool, result)

    def _protocol_failure(self, tool: str, error: "MCPError") -> Failure:
        from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR

        if error.code not in {CONNECTION_CLOSED, INTERNAL_ERROR} and error.message != SESSION_GONE:
            what = f"was refused by its server: {error.message[:500]}"
            return failed(tool, "raised", what, "Correct the arguments, or mend the server.")
        self._lose()
        what = f"was lost: the connection to {self._name} broke while it ran ({error.message[:200]})"
        hint = "The next call connects again. Whether this one had its effect is not known."
        return failed(tool, "killed", what, hint, passing=True)

    def _lose(self) -> None:
        if self._connection is not None:
            self._connection.give_up()

    async def _connected(self) -> "Client":
        """Raises ToolFailed."""
        if self._client is not None and self._connection is not None and not self._connection.lost:
            return self._client
        async with self._opening:
            if self._client is not None and self._connection is not None and not self._connection.lost:
                return self._client
            if self._connection is not None:
                await self._connection.close()
            connection = self._connection = Connection(self._name, self._server)
            self._client = await connection.open()
            self._offers = {offer.card.tool: offer for offer in self._offered(connection)}
            return self._client

    def _offered(self, connection: Connection) -> Iterator[Offered]:
        for tool in connection.tools:
            if self._server.allow is not None and tool.name not in self._server.allow:
                continue
            name = f"{self._name}.{tool.name}"
            try:
                tool_token(name)
                schema = ArgumentSchema(tool.input_schema)
            except (InvalidName, BadSchema) as error:
                log.warning("left out", action="tool_left_out", tool=name, reason=str(error))
                continue
            yield Offered(tool.name, self._card(name, tool.description or "", tool.input_schema), schema)

    def _card(self, name: str, description: str, parameters: dict[str, Any]) -> ToolCard:
        return ToolCard(
            tool=name,
            executor=self._executor,
            description=description,
            parameters=parameters,
            effect=self._server.effect,
            idempotent=self._server.idempotent,
            approve=self._server.approve,
            timeout_seconds=self._server.timeout,
            retries=self._server.tries_again,
            source=f"mcp:{self._name}",
            isolation=self._isolation,
        )
