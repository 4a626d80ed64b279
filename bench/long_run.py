"""How long a worker needs to go on with a long run: `python -m bench.long_run [--steps 2000]`.

The log of such a run is written first: a model call and a tool call by turns. Then a worker is handed the message that
brings the run back. It folds the run, is served every recorded step, and asks for the next one.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from nats.aio.msg import Msg

from trunkline import Agent, Run
from trunkline.bus import Bus, Lease, append, last, provision
from trunkline.bus.cancels import Cancels
from trunkline.contracts.codec import Event
from trunkline.contracts.dialog import ToolSpec, UserMessage
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Call, Fact, Head, Model, Result, Task, Turn
from trunkline.contracts.subjects import RunKey, Subject
from trunkline.host.server import EmbeddedServer, free_port
from trunkline.models import OfflineModel
from trunkline.run.inputs import CallInput, ModelInputs
from trunkline.run.run import Surroundings
from trunkline.worker.turn import Worker

TOOL = "look"
MODEL = "small"
REPLY = "A sentence or two of what a model may say. " * 4
AT_ONCE = 200


def agent_of(turns: int) -> Agent:
    """It has one turn more to go than there are on the log."""
    agent = Agent("long", tools=[TOOL], model=MODEL)

    @agent.flow
    async def handle(run: Run) -> str:
        for turn in range(turns + 1):
            await run.model(f"What about {turn}?")
            await run.call(TOOL, number=turn)
        return "done"

    return agent


def facts_of(key: RunKey, turns: int) -> list[tuple[Subject, Fact]]:
    """What that agent's run has left on the log when so many turns are complete."""
    inputs = ModelInputs(())
    head = Head(model=MODEL)
    found: list[tuple[Subject, Fact]] = []
    for number in range(turns):
        thought, called = f"{2 * number + 1}", f"{2 * number + 2}"
        asked = inputs.of(thought, head, (UserMessage(f"What about {number}?"),))
        call = CallInput(TOOL, {"number": number})
        turn = Turn(number=number + 1)
        prompt = asked.prompt(model=MODEL, attempt=1, carrier=1, delivery=1, worker="w", version="")
        reply = Model(model=MODEL, input_hash=asked.hash, text=REPLY)
        wanted = Call(agent="long", arguments=call.arguments, input_hash=call.hash, turn=turn)
        came = Result(tool=TOOL, turn=turn, input_hash=call.hash, value={"found": number, "text": REPLY})
        found += [
            (key.step("prompt", "long", f"{thought}-1"), prompt),
            (key.step("model", "long", thought), reply),
            (key.step("call", TOOL, called), wanted),
            (key.step("result", "long", called), came),
        ]
    return found


async def record(bus: Bus, key: RunKey, turns: int) -> Event:
    """Write the log of the run; the message that carries its next turn."""
    await append(bus, key.step("task", "long"), Task(text="go", first=True))
    facts = facts_of(key, turns)
    for start in range(0, len(facts) - 1, AT_ONCE):
        await asyncio.gather(*(append(bus, *each) for each in facts[start : min(start + AT_ONCE, len(facts) - 1)]))
    await append(bus, *facts[-1])  # the run's carrier is its newest message
    carrier = await last(bus, str(facts[-1][0]))
    assert carrier is not None
    return carrier


async def resume(bus: Bus, turns: int, carrier: Event) -> float:
    """Seconds until the worker asks for the first step that is not recorded."""
    asked = asyncio.Event()

    async def specs(_: Sequence[str]) -> Sequence[ToolSpec]:
        asked.set()
        return []

    async def yes(_: str) -> bool:
        return True

    around = Surroundings(lambda name: (name,), specs, yes, yes)
    worker = Worker(bus, agent_of(turns), OfflineModel(), around, Cancels(), "bench")
    reply = f"$JS.ACK.TRUNK.bench.2.{carrier.sequence}.1.{int(datetime.now(UTC).timestamp() * 1e9)}.0"
    message = Msg(_client=bus.client, subject=str(carrier.subject), reply=reply, data=carrier.raw)
    began = time.perf_counter()
    working = asyncio.create_task(worker.handle(Lease(bus, message)))
    await asyncio.wait([working, asyncio.create_task(asked.wait())], return_when=asyncio.FIRST_COMPLETED)
    took = time.perf_counter() - began
    working.cancel()
    await asyncio.wait([working])
    if not asked.is_set():
        raise SystemExit(f"the worker never came to the next step: {working}")
    return took


async def measure(steps: int, rounds: int) -> None:
    turns = steps // 2
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder), free_port())
        await server.start()
        try:
            async with Bus.open(server.url) as bus:
                await provision(bus)
                key = RunKey.checked(new_run_id(), new_conversation_id())
                carrier = await record(bus, key, turns)
                took = sorted([await resume(bus, turns, carrier) for _ in range(rounds)])
        finally:
            await server.stop()
    print(f"A run of {steps:,} steps ({4 * turns + 1:,} messages), resumed {rounds} times:")
    print(f"best {took[0] * 1000:.0f} ms, median {took[rounds // 2] * 1000:.0f} ms, worst {took[-1] * 1000:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    asyncio.run(measure(options.steps, options.rounds))


if __name__ == "__main__":
    main()
