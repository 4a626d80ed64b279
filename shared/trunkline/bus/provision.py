"""The streams and buckets of the platform: declared here, created when missing, compared when there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.bus import registry
from trunkline.bus.consumers import STREAM_NOT_FOUND, said_differences
from trunkline.bus.objects import BUCKET
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.subjects import OPS, OPS_SUBJECTS, TIMERS, TIMERS_SUBJECTS, TRUNK, TRUNK_SUBJECTS

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

NAME_IN_USE = 10058
MAX_MESSAGE_BYTES = 1_000_000
REGISTRY_MAX_AGE = 3600


def streams(replicas: int = 1) -> list[dict[str, Any]]:
    """Every stream as the server's API spells it.

    TRUNK keeps each subject's one message for ever: full means refused, never forgotten.
    """
    common = {"storage": "file", "num_replicas": replicas}
    return [
        common
        | {
            "name": TRUNK,
            "subjects": [TRUNK_SUBJECTS],
            "discard": "new",
            "discard_new_per_subject": True,
            "max_msgs_per_subject": 1,
            "max_msg_size": MAX_MESSAGE_BYTES,
            "allow_direct": True,
            "deny_delete": True,
            "deny_purge": True,
        },
        common | {"name": OPS, "subjects": [OPS_SUBJECTS], "allow_direct": True},
        common
        | {
            "name": TIMERS,
            "subjects": [TIMERS_SUBJECTS],
            "allow_msg_schedules": True,
            "allow_msg_ttl": True,
            "allow_direct": True,
            "max_msgs_per_subject": 1,
        },
        *(common | _bucket(name) for name in (registry.AGENTS, registry.TOOLS)),
        common | _object_store(BUCKET),
    ]


async def provision(bus: Bus, *, replicas: int = 1) -> dict[str, dict[str, tuple[Any, Any]]]:
    """Create what is missing. Returns, and says, where an existing stream differs:
    {stream: {setting: (declared, found)}}. Doing it twice changes nothing. Raises BusUnavailable.
    """
    await bus.check_jetstream()
    differing = {}
    for config in streams(replicas):
        if differences := await _ensure_stream(bus, config):
            differing[config["name"]] = differences
    return differing


async def provisioned(bus: Bus) -> bool:
    """Whether the log is there."""
    await bus.check_jetstream()
    return "error" not in await bus.api(f"STREAM.INFO.{TRUNK}")


async def _ensure_stream(bus: Bus, config: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    name = config["name"]
    found = await bus.api(f"STREAM.INFO.{name}")
    if error := found.get("error"):
        if error.get("err_code") != STREAM_NOT_FOUND:
            raise BusUnavailable(f"Stream {name} cannot be read: {error.get('description')}.")
        answer = await bus.api(f"STREAM.CREATE.{name}", config, wait=30.0)
        if (error := answer.get("error")) and error.get("err_code") != NAME_IN_USE:
            raise BusUnavailable(f"Stream {name} could not be created: {error.get('description')}.")
        return {}
    return said_differences(f"stream {name}", config, found["config"])


def _bucket(name: str) -> dict[str, Any]:
    """A key-value bucket as ADR-8 lays it out."""
    return {
        "name": f"KV_{name}",
        "subjects": [f"$KV.{name}.>"],
        "max_msgs_per_subject": 1,
        "max_age": REGISTRY_MAX_AGE * 1_000_000_000,
        "allow_rollup_hdrs": True,
        "deny_delete": True,
        "allow_direct": True,
        "discard": "new",
    }


def _object_store(name: str) -> dict[str, Any]:
    """An object store as ADR-20 lays it out."""
    return {
        "name": f"OBJ_{name}",
        "subjects": [f"$O.{name}.C.>", f"$O.{name}.M.>"],
        "allow_rollup_hdrs": True,
        "allow_direct": True,
        "discard": "new",
    }
