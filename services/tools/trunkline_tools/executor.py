"""The executor decides and acts: it takes a tool's calls, runs each in a sandbox, and records what it came to.

Law 5: a tool that only reads, or is idempotent, is run again when its result is missing. One with effects puts
`started` on the log first; when somebody has done so before and there is no result, the call is in doubt, and it is
not run again.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from trunkline.bus import Bus, Lease, append, last, read_event
from trunkline.contracts.codec import Event
from trunkline.contracts.errors import BadMessage
from trunkline.contracts.messages import Call, Failure, Result, Started
from trunkline.contracts.registry import ToolCard
from trunkline.contracts.subjects import RunKey
from trunkline_tools.sandbox.contract import Outcome, Sandbox

log = structlog.get_logger("trunkline.tools")


@dataclass(frozen=True)
class Executor:
    """Runs one tool. It holds the bus; the tool's code never does."""

    bus: Bus
    card: ToolCard
    sandbox: Sandbox

    async def handle(self, lease: Lease) -> None:
        """Raises WireViolation, BusUnavailable."""
        event = await read_event(self.bus, lease.message)
        call = event.fact
        if not isinstance(call, Call):
            raise BadMessage(f"{lease.message.subject} is not a call.")
        key, name, step = RunKey.of(event.subject), event.subject.name, event.subject.step
        target = key.step("result", call.agent, step)
        if not lease.fresh and await last(self.bus, str(target)):
            await lease.ack()
            return
        outcome = await self._carry_out(event, call, key, lease.delivery)
        result = Result(
            tool=self.card.tool,
            turn=call.turn,
            input_hash=call.input_hash,
            value=outcome.value,
            error=outcome.error,
            duration_ms=outcome.duration_ms,
            resources=outcome.resources,
            isolation=outcome.isolation,
            executor=self.card.executor,
        )
        written = await append(self.bus, target, result)
        if not written.own:
            log.warning("somebody else was first", action="result_dropped", tool=name, run=key.run, step=step)
        await lease.ack()

    async def _carry_out(self, event: Event, call: Call, key: RunKey, delivery: int) -> Outcome:
        if self.card.effect == "write" and not self.card.idempotent:
            started = Started(executor=self.card.executor, delivery=delivery, isolation=self.card.isolation)
            mark = await append(self.bus, key.step("started", event.subject.name, event.subject.step), started)
            if not mark.own:
                return Outcome(error=in_doubt(self.card.tool))
        return await self.sandbox.call(
            self.card.tool,
            call.arguments,
            timeout=self.card.timeout_seconds,
            call_id=f"{key.run}-{event.subject.step}",
        )


def in_doubt(tool: str) -> Failure:
    return Failure(
        code="in_doubt",
        message=f"{tool} was started and its result is not known; it was not run again.",
        hint="Look whether its effect happened, and say so before asking again.",
    )
