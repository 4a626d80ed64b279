"""The one thing that the platform asks of a language model."""

from collections.abc import Callable
from typing import Protocol

from trunkline.contracts.dialog import ModelQuery, ModelReply


class ModelClient(Protocol):
    """Answers one query at a time, any number at once; whoever opens it closes it."""

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        """The whole reply; on the way `on_text` gets each piece of text as it arrives, and `""` for any other sign of
        life, such as a thought or a piece of a tool call.

        Raises ModelFailed, whose `data` says `retryable`, `status`, `retry_after` (seconds) and `spent`, False when the
        provider has certainly charged nothing; where tokens were counted, `usage`. Raises InvalidSettings for a model
        that this installation cannot reach. Retries nothing: that is the caller's policy.
        """
        ...

    async def close(self) -> None: ...


def is_offline(model: str) -> bool:
    """Whether it is the built-in model, which stands for a tier where nobody has named one, and knows nothing."""
    return model.partition(":")[0] == "offline"
