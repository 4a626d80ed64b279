"""An agent is data: what it is for, what it is told, what it may use. Its loop is a function over a `Run`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from trunkline.contracts.errors import InvalidSettings
from trunkline.contracts.ids import checked_token
from trunkline.tool import Tool

if TYPE_CHECKING:
    from trunkline.run import Run

Flow = Callable[["Run"], Coroutine[Any, Any, str]]


class Agent:
    """A definition that any number of workers may run.

    `description` and `examples` are what the router learns from. `model` is a tier of `trunkline.toml` (`small`,
    `large`) or `provider:model`. `tools` are names of registered tools, or functions under `@tool` in the same file;
    the agent can call nothing else. `delegates` are agents it may ask; `max_turns` bounds its loop. With
    `generalist=True` the router sends here what fits nobody well.
    """

    def __init__(
        self,
        name: str,
        *,
        description: str = "",
        examples: Sequence[str] = (),
        instructions: str = "",
        model: str = "small",
        tools: Sequence[str | Tool] = (),
        delegates: Sequence[str] = (),
        max_turns: int = 12,
        generalist: bool = False,
    ) -> None:
        self.name = checked_token(name, "agent")
        self.description = description
        self.examples = tuple(examples)
        self.instructions = instructions
        self.model = model
        self.tools = tuple(tools)
        self.delegates = tuple(checked_token(other, "agent") for other in delegates)
        self.generalist = generalist
        if max_turns < 1:
            raise InvalidSettings(f"agent {name}: max_turns is {max_turns}.", "It needs at least one turn.")
        self.max_turns = max_turns
        self._flow: Flow | None = None

    @property
    def own_tools(self) -> tuple[Tool, ...]:
        """The tools that are defined beside the agent."""
        return tuple(tool for tool in self.tools if isinstance(tool, Tool))

    @property
    def tool_names(self) -> tuple[str, ...]:
        """The allowlist."""
        return tuple(tool.name if isinstance(tool, Tool) else tool for tool in self.tools)

    def flow(self, function: Flow) -> Flow:
        """Replace the built-in loop by `async def function(run: Run) -> str`."""
        if not inspect.iscoroutinefunction(function):
            raise InvalidSettings(f"the flow of agent {self.name} is not an async function.", "Write `async def`.")
        self._flow = function
        return function

    @property
    def own_flow(self) -> Flow | None:
        return self._flow

    def __repr__(self) -> str:
        return f"Agent({self.name!r})"
