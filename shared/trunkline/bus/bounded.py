"""The streams under buckets that are bounded: a full one forgets what was written first."""

from __future__ import annotations

from typing import Any

ANSWERS = "answers"
"""Where routers keep answers that may be given again, when they share them on the bus."""
ANSWERS_BYTES = 64 * 1024 * 1024


def bounded_bucket(name: str, max_bytes: int) -> dict[str, Any]:
    """As the server's API spells it; each message may say how long it lives."""
    return {
        "name": f"KV_{name}",
        "subjects": [f"$KV.{name}.>"],
        "storage": "file",
        "max_msgs_per_subject": 1,
        "max_bytes": max_bytes,
        "discard": "old",
        "allow_direct": True,
        "allow_msg_ttl": True,
        "allow_rollup_hdrs": True,
    }
