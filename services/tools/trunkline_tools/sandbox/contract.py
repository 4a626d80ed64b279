"""What every sandbox offers, whatever its level of isolation."""

from dataclasses import dataclass
from typing import Any, Protocol, Self

from trunkline.contracts.messages import Failure, Resources
from trunkline.contracts.registry import ToolCard

NOTHING = Resources()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call ended: with `value`, any JSON value, or with `error`. Never an exception."""

    value: Any = None
    error: Failure | None = None
    duration_ms: float = 0.0
    resources: Resources = NOTHING
    isolation: str = ""


class Sandbox(Protocol):
    """Runs the tools of one source. Entering it makes the tools ready, leaving it ends every process it started."""

    async def describe(self) -> tuple[ToolCard, ...]:
        """The tools on offer."""
        ...

    async def call(
        self, tool: str, arguments: dict[str, Any], *, timeout: float, call_id: str, reconcile: bool = False
    ) -> Outcome:
        """Run one tool. `timeout` is total, in seconds; `call_id` is the idempotency key that the tool sees.

        With `reconcile`, its reconcile function instead; the outcome's value is then {"done": true, "value": any JSON}
        or {"done": false}. Cancelling ends whatever runs.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *failure: object) -> None: ...
