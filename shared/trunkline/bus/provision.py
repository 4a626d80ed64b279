"""The streams and buckets of the platform: declared here, created when missing, compared when there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trunkline.bus import advisories, registry
from trunkline.bus.bounded import ANSWERS, ANSWERS_BYTES, bounded_bucket
from trunkline.bus.consumers import said_differences
from trunkline.bus.marks import MARKS
from trunkline.bus.objects import BUCKET
from trunkline.bus.streams import STREAM_NOT_FOUND, find_stream
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.subjects import (
    BUDGET,
    BUDGET_SUBJECTS,
    OPS,
    OPS_SUBJECTS,
    TIMERS,
    TIMERS_SUBJECTS,
    TRUNK,
    TRUNK_SUBJECTS,
)

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

NAME_IN_USE = 10058
MAX_MESSAGE_BYTES = 1_000_000
REGISTRY_MAX_AGE = 3600
CREATE_SECONDS = 30.0
LETTERS_KNOWN_SECONDS = 24 * 3600
BUDGETS = "budgets"
COUNTED_SECONDS = 40 * 24 * 3600
"""For so long a budget's counter is kept that does not move: longer than any month."""
CLOSINGS_KNOWN_SECONDS = 20 * 60
"""For so long the counters' stream knows that an amount has been settled: longer than a server keeps a connection from
which it hears nothing, so nothing that comes late is counted twice.
"""


@dataclass(frozen=True, slots=True)
class Provisioned:
    """Streams that were `created`, and those that were there: `differing` says {stream: {setting: (declared, found)}}
    of the ones that are not as declared, and stay so.
    """

    created: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    differing: dict[str, dict[str, tuple[Any, Any]]] = field(default_factory=dict)


def streams(replicas: int = 1) -> list[dict[str, Any]]:
    """Every stream as the server's API spells it.

    TRUNK keeps each subject's one message for ever: full means refused, never forgotten. OPS knows a
    dead letter again for a day. BUDGET's last message under a subject bears its total, whatever is forgotten of the
    others; such a stream can forget only what is old.
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
        common
        | {
            "name": OPS,
            "subjects": [OPS_SUBJECTS],
            "allow_direct": True,
            "duplicate_window": LETTERS_KNOWN_SECONDS * 1_000_000_000,
        },
        common
        | {
            "name": TIMERS,
            "subjects": [TIMERS_SUBJECTS],
            "allow_msg_schedules": True,
            "allow_msg_ttl": True,
            "allow_direct": True,
            "max_msgs_per_subject": 1,
        },
        common
        | {
            "name": BUDGET,
            "subjects": [BUDGET_SUBJECTS],
            "allow_msg_counter": True,
            "allow_direct": True,
            "max_age": COUNTED_SECONDS * 1_000_000_000,
            "max_msgs_per_subject": 10_000,
            "duplicate_window": CLOSINGS_KNOWN_SECONDS * 1_000_000_000,
        },
        common | advisories.stream(),
        *(common | _bucket(name) for name in (registry.AGENTS, registry.TOOLS)),
        common | _bucket(MARKS, seconds=0),
        common | _bucket(BUDGETS, seconds=0) | {"allow_msg_ttl": True},
        common | bounded_bucket(ANSWERS, ANSWERS_BYTES),
        common | _object_store(BUCKET),
    ]


async def provision(bus: Bus, *, replicas: int | None = None) -> Provisioned:
    """Create what is missing; where an existing stream differs, that is logged, too. Doing it twice changes nothing.

    Without `replicas`, as many copies as the log has; one when there is no log yet. Raises BusUnavailable.
    """
    await bus.check_jetstream()
    done = Provisioned()
    for config in streams(replicas or await _copies_of_log(bus)):
        name = config["name"]
        existing = await _existing(bus, name)
        created = existing is None and await _create(bus, config)
        (done.created if created else done.kept).append(name)
        if existing and (differences := said_differences(f"stream {name}", config, existing)):
            done.differing[name] = differences
    return done


async def provisioned(bus: Bus) -> bool:
    """Whether the log is there. Raises BusUnavailable."""
    await bus.check_jetstream()
    return await find_stream(bus, TRUNK) is not None


async def _copies_of_log(bus: Bus) -> int:
    existing = await _existing(bus, TRUNK)
    return int(existing["num_replicas"]) if existing else 1


async def _existing(bus: Bus, name: str) -> dict[str, Any] | None:
    found = await bus.api(f"STREAM.INFO.{name}")
    if error := found.get("error"):
        if error.get("err_code") == STREAM_NOT_FOUND:
            return None
        raise BusUnavailable(f"Stream {name} cannot be read: {error.get('description')}.")
    config: dict[str, Any] = found["config"]
    return config


async def _create(bus: Bus, config: dict[str, Any]) -> bool:
    """False when somebody else was quicker. Whoever may not create streams gets no answer."""
    try:
        answer = await bus.api(f"STREAM.CREATE.{config['name']}", config, wait=CREATE_SECONDS)
    except BusUnavailable as unanswered:
        raise _missing(config["name"], unanswered.what) from unanswered
    error = answer.get("error")
    if error and error.get("err_code") != NAME_IN_USE:
        raise _missing(config["name"], f"{error.get('description')}.")
    return bool(answer.get("did_create"))


def _missing(name: str, why: str) -> BusUnavailable:
    return BusUnavailable(
        f"The bus has no stream {name}, and it could not be created: {why}",
        "Run `trunkline provision` as somebody who may create streams, then start this again.",
    )


def _bucket(name: str, *, seconds: int = REGISTRY_MAX_AGE) -> dict[str, Any]:
    """A key-value bucket as ADR-8 lays it out, which forgets a key after `seconds`; 0 is never."""
    return {
        "name": f"KV_{name}",
        "subjects": [f"$KV.{name}.>"],
        "max_msgs_per_subject": 1,
        "max_age": seconds * 1_000_000_000,
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
