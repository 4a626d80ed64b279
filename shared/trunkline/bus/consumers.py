"""Durable consumers: declared here, created when missing, compared when there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.ids import tool_token
from trunkline.contracts.subjects import TIMER, TIMERS, TRUNK, all_due, calls_of_tool, requests, work_of_agent

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

log = structlog.get_logger("trunkline.bus")

CONSUMER_NOT_FOUND = 10014
STREAM_NOT_FOUND = 10059
ACK_WAIT = 10.0
CREATED_AT = "created-at-sequence"


@dataclass(frozen=True, slots=True)
class Consumer:
    """`ack_wait` in seconds: how long a message may go without a heartbeat before somebody else gets it."""

    stream: str
    name: str
    filters: tuple[str, ...]
    ack_wait: float = ACK_WAIT

    @property
    def config(self) -> dict[str, Any]:
        return {
            "durable_name": self.name,
            "filter_subjects": list(self.filters),
            "ack_policy": "explicit",
            "ack_wait": int(self.ack_wait * 1e9),
            "max_deliver": -1,
            "max_ack_pending": 10_000,
            "deliver_policy": "all",
        }


def of_router() -> Consumer:
    return Consumer(TRUNK, "router", (requests(),))


def of_agent(agent: str, *, ack_wait: float = ACK_WAIT) -> Consumer:
    return Consumer(TRUNK, f"agent-{agent}", work_of_agent(agent), ack_wait)


def of_tool(tool: str, *, ack_wait: float = ACK_WAIT) -> Consumer:
    return Consumer(TRUNK, f"tool-{tool_token(tool)}", (calls_of_tool(tool),), ack_wait)


def of_timers_set() -> Consumer:
    """Runs that ask to be woken."""
    return Consumer(TRUNK, "timers-set", (calls_of_tool(TIMER),))


def of_timers_due() -> Consumer:
    """Timers that fired."""
    return Consumer(TIMERS, "timers-due", (all_due(),))


@dataclass(frozen=True, slots=True)
class Ensured:
    """A consumer that is there. `created_at` is the last sequence that its stream had when it was created: up to
    there, an earlier consumer of that name may have delivered what this one counts as delivered for the first time.
    `differences` are settings as {setting: (declared, found)}.
    """

    created_at: int
    differences: dict[str, tuple[Any, Any]]


async def ensure_consumer(bus: Bus, consumer: Consumer) -> Ensured:
    """Create it when missing. The settings in which an existing one differs are said, and returned:
    the server would go on with the old ones silently.

    Raises BusUnavailable.
    """
    found = await _existing(bus, consumer) or await _created(bus, consumer)
    created_at = (found.get("metadata") or {}).get(CREATED_AT, "")
    return Ensured(
        int(created_at) if created_at.isdecimal() else 0,
        said_differences(f"consumer {consumer.name}", consumer.config, found),
    )


async def _existing(bus: Bus, consumer: Consumer) -> dict[str, Any] | None:
    """Its settings; None when there is no such consumer."""
    found = await bus.api(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
    if error := found.get("error"):
        if error.get("err_code") == CONSUMER_NOT_FOUND:
            return None
        raise _unavailable(consumer, error)
    config: dict[str, Any] = found["config"]
    return config


async def _created(bus: Bus, consumer: Consumer) -> dict[str, Any]:
    """Its settings, ours or those of whoever was quicker."""
    stream = await bus.api(f"STREAM.INFO.{consumer.stream}")
    if error := stream.get("error"):
        raise _unavailable(consumer, error)
    metadata = {CREATED_AT: str(stream["state"]["last_seq"])}
    answer = await bus.api(
        f"CONSUMER.CREATE.{consumer.stream}.{consumer.name}",
        {"stream_name": consumer.stream, "config": consumer.config | {"metadata": metadata}, "action": "create"},
        wait=30.0,
    )
    if error := answer.get("error"):
        found = await _existing(bus, consumer)
        if found is None:
            raise _unavailable(consumer, error)
        return found
    config: dict[str, Any] = answer["config"]
    return config


def _unavailable(consumer: Consumer, error: dict[str, Any]) -> BusUnavailable:
    if error.get("err_code") == STREAM_NOT_FOUND:
        return BusUnavailable(
            f"The bus has no stream {consumer.stream}.", "Run `trunkline up`, or `trunkline provision`."
        )
    return BusUnavailable(f"Consumer {consumer.name} cannot be had: {error.get('description')}.")


def said_differences(what: str, declared: dict[str, Any], found: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Where what stands on the server is not what we declare; a warning for each."""
    found = _with_filters(found)
    differences = {key: (value, found.get(key)) for key, value in declared.items() if not _same(value, found.get(key))}
    for key, (ours, theirs) in differences.items():
        log.warning(
            "exists with other settings, which stay in force",
            action="provision_differs",
            what=what,
            setting=key,
            declared=ours,
            found=theirs,
        )
    return differences


def _with_filters(found: dict[str, Any]) -> dict[str, Any]:
    """A single filter comes back under another key."""
    if "filter_subject" in found and "filter_subjects" not in found:
        return found | {"filter_subjects": [found["filter_subject"]]}
    return found


def _same(declared: object, found: object) -> bool:
    if isinstance(declared, list) and isinstance(found, list):
        return sorted(declared) == sorted(found)
    return declared == found or (found is None and not declared)
