"""What workers and executors say about themselves in the `agents` and `tools` buckets."""

from typing import Any, Literal

import msgspec

from trunkline.contracts.dialog import ToolSpec

Effect = Literal["read", "write"]
Reuse = Literal["private", "shared", "off"]
"""Who gets an answer again that was given to somebody: the same user, everybody of the tenant, nobody."""
TOGETHER = "together"
"""The hidden agent that gets a request with questions for several agents, and asks each of them."""


class AgentCard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One worker of one agent. The router learns from `description` and `examples`. Its answers may be given again for
    `reuse_seconds`; with `alike`, also to questions that mean the same.
    """

    agent: str
    worker: str
    description: str = ""
    examples: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    model: str = ""
    version: str = ""
    generalist: bool = False
    reuse: Reuse = "off"
    reuse_seconds: float = 3600.0
    alike: bool = False
    hidden: bool = False
    beat_seconds: float = 2.0


class ToolCard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One tool as one executor offers it: its schema and its declared powers.

    `timeout_seconds` is for one try, of which there are `retries` more at most; `reconcile_seconds` is for its
    reconcile function, and 0 when it has none. `cacheable`: an answer that its results went into may be given again.
    `result_tokens`: how much of a result a model is told at most; 0 leaves that to the agent.
    """

    tool: str
    executor: str
    description: str = ""
    parameters: dict[str, Any] = {}
    effect: Effect = "read"
    idempotent: bool = False
    approve: bool = False
    cacheable: bool = False
    result_tokens: int = 0
    timeout_seconds: float = 30.0
    retries: int = 0
    reconcile_seconds: float = 0.0
    source: str = ""
    isolation: str = ""
    beat_seconds: float = 2.0

    @property
    def repeatable(self) -> bool:
        """Whether running a call twice does no harm."""
        return self.effect == "read" or self.idempotent

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(name=self.tool, description=self.description, parameters=self.parameters)
