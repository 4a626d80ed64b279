"""Request and reply on the services' read side: core NATS, nothing stored."""

from typing import Any

import msgspec

from trunkline.contracts.messages import Failure


class QueryReply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A `value` (any JSON), or why there is none."""

    value: Any = None
    error: Failure | None = None
