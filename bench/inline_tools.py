"""The tool service without its sandbox, to measure what the process per call costs. For nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from trunkline.contracts.registry import ToolCard
from trunkline.definitions import load_definitions
from trunkline_tools import __main__, app
from trunkline_tools.sandbox.contract import Outcome


class InlineTools:
    """Calls the functions in this process."""

    def __init__(self, path: Path) -> None:
        self._tools = {tool.name: tool for tool in load_definitions(path).tools}

    async def describe(self) -> tuple[ToolCard, ...]:
        return tuple(tool.card("", "") for tool in self._tools.values())

    async def call(
        self, tool: str, arguments: dict[str, Any], *, timeout: float, call_id: str, reconcile: bool = False
    ) -> Outcome:  # the port's signature
        found = self._tools[tool]
        return Outcome(value=found.function(**found.validate(arguments)), isolation="none")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        """There is nothing to end."""


if __name__ == "__main__":
    setattr(app, "ZygoteSandbox", InlineTools)  # noqa: B010  # the same port, put in its place
    __main__.main()
