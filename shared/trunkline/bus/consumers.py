"""Durable consumers: declared here, created when missing, compared when there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from trunkline.bus.streams import STREAM_NOT_FOUND, stream_info
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.ids import tool_token
from trunkline.contracts.subjects import (
    TIMER,
    TIMERS,
    TRUNK,
    all_due,
    calls_of_tool,
    requests,
    work_of_agent,
    work_of_tool,
)

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

log = structlog.get_logger("trunkline.bus")

CONSUMER_NOT_FOUND = 10014
ACK_WAIT = 10.0
FILTER, FILTERS = "filter_subject", "filter_subjects"
CREATED_AT = "created-at-sequence"
BEGINS_AFTER = "begins-after-sequence"


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
            FILTERS: list(self.filters),
            "ack_policy": "explicit",
            "ack_wait": int(self.ack_wait * 1e9),
            "max_deliver": -1,
            "max_ack_pending": 10_000,
        }

    def beginning_after(self, sequence: int) -> dict[str, Any]:
        """Its settings when it is to have only what stands behind `sequence`; 0 for everything."""
        if not sequence:
            return self.config | {"deliver_policy": "all"}
        return self.config | {"deliver_policy": "by_start_sequence", "opt_start_seq": sequence + 1}


def of_router() -> Consumer:
    return Consumer(TRUNK, "router", (requests(),))


def of_agent(agent: str, *, ack_wait: float = ACK_WAIT) -> Consumer:
    return Consumer(TRUNK, f"agent-{agent}", work_of_agent(agent), ack_wait)


def of_tool(tool: str, *, ack_wait: float = ACK_WAIT) -> Consumer:
    return Consumer(TRUNK, f"tool-{tool_token(tool)}", work_of_tool(tool), ack_wait)


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
    """Create it when missing: it delivers all of its stream but what was imported, which is work of another log.

    An existing one that differs in nothing but its filters gets ours. Other settings in which it differs are said, and
    returned: the server would go on with the old ones silently. Raises BusUnavailable.
    """
    found = await _existing(bus, consumer) or await _created(bus, consumer)
    declared = consumer.beginning_after(_sequence(found, BEGINS_AFTER))
    if _differences(declared, found).keys() == {FILTERS}:
        found = await _filtered(bus, consumer, found)
    return Ensured(_sequence(found, CREATED_AT), said_differences(f"consumer {consumer.name}", declared, found))


async def delivered_up_to(bus: Bus, consumer: Consumer) -> int:
    """The stream sequence of the newest message that somebody was given; 0 without such a consumer.

    Raises BusUnavailable.
    """
    found = await bus.api(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
    if error := found.get("error"):
        if error.get("err_code") == CONSUMER_NOT_FOUND:
            return 0
        raise _unavailable(consumer, error)
    return int(found["delivered"]["stream_seq"])


def _sequence(found: dict[str, Any], name: str) -> int:
    """As we wrote it into the consumer's metadata; 0 when it is not there."""
    said = (found.get("metadata") or {}).get(name, "")
    return int(said) if said.isdecimal() else 0


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
    stream = await stream_info(bus, consumer.stream)
    begins_after = stream.imported_up_to
    metadata = {CREATED_AT: str(stream.last_sequence), BEGINS_AFTER: str(begins_after)}
    config = consumer.beginning_after(begins_after) | {"metadata": metadata}
    answer = await bus.api(
        f"CONSUMER.CREATE.{consumer.stream}.{consumer.name}",
        {"stream_name": consumer.stream, "config": config, "action": "create"},
        wait=30.0,
    )
    if error := answer.get("error"):
        found = await _existing(bus, consumer)
        if found is None:
            raise _unavailable(consumer, error)
        return found
    created: dict[str, Any] = answer["config"]
    return created


async def _filtered(bus: Bus, consumer: Consumer, found: dict[str, Any]) -> dict[str, Any]:
    """Its settings with our filters: an earlier version of us listened to less, or to more."""
    config = {key: value for key, value in found.items() if key != FILTER} | {FILTERS: list(consumer.filters)}
    answer = await bus.api(
        f"CONSUMER.CREATE.{consumer.stream}.{consumer.name}",
        {"stream_name": consumer.stream, "config": config, "action": "update"},
        wait=30.0,
    )
    if error := answer.get("error"):
        log.warning("filters stay as they are", action="filters_refused", consumer=consumer.name, error=error)
        return found
    log.info("listens to something else now", action="filters_changed", consumer=consumer.name)
    updated: dict[str, Any] = answer["config"]
    return updated


def _unavailable(consumer: Consumer, error: dict[str, Any]) -> BusUnavailable:
    if error.get("err_code") == STREAM_NOT_FOUND:
        return BusUnavailable(
            f"The bus has no stream {consumer.stream}.", "Run `trunkline up`, or `trunkline provision`."
        )
    return BusUnavailable(f"Consumer {consumer.name} cannot be had: {error.get('description')}.")


def said_differences(what: str, declared: dict[str, Any], found: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Where what stands on the server is not what we declare; a warning for each."""
    differences = _differences(declared, found)
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


def _differences(declared: dict[str, Any], found: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    found = _with_filters(found)
    return {key: (value, found.get(key)) for key, value in declared.items() if not _same(value, found.get(key))}


def _with_filters(found: dict[str, Any]) -> dict[str, Any]:
    """A single filter comes back under another key."""
    if FILTER in found and FILTERS not in found:
        return found | {FILTERS: [found[FILTER]]}
    return found


def _same(declared: object, found: object) -> bool:
    if isinstance(declared, list) and isinstance(found, list):
        return sorted(declared) == sorted(found)
    return declared == found or (found is None and not declared)
