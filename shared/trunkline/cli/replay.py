"""`trunkline replay`: walk through a recorded run, or hold changed code to the record."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.agent import Agent
    from trunkline.bus import Bus
    from trunkline.contracts.codec import Event
    from trunkline.contracts.subjects import RunKey
    from trunkline.run.divergence import Difference
    from trunkline.run.replay import Mode, Replayed

DIVERGED = 1
NOTHING_TO_REPLAY = "Nothing to replay."


def replay(
    run: Annotated[str, typer.Argument(help="The run's id, or its beginning.", show_default=False)] = "",
    with_file: Annotated[
        Path | None, typer.Option("--with", metavar="FILE", help="Run this agent file against the record.")
    ] = None,
    last: Annotated[int, typer.Option(min=0, help="With FILE: the newest so many runs of its agents.")] = 0,
    structural: Annotated[
        bool, typer.Option("--structural", help="Hold it to the same tools and shapes of arguments only.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Do not stop after each step.")] = False,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """A recorded run, step by step: when, who, why, and what was said.

    With --with, the file's code is run against the record: models and tools are served from the log, nothing is
    executed. The first step that asks for something else is shown with both inputs, and the exit code is 1.
    """
    from trunkline.cli.replay_walk import walk
    from trunkline.cli.session import run as settled
    from trunkline.contracts.errors import InvalidArguments

    if bool(run) == bool(last):
        raise InvalidArguments(
            "Which run?", "Give a run's id (`trunkline runs` lists them), or --with FILE --last 100."
        )
    if with_file is None and last:
        raise InvalidArguments("--last needs --with FILE.", "Say which code is to be held to those runs.")
    if with_file is None:
        key, events = settled(_read_one(url, run))
        walk(key, events, as_json=as_json, stop=not everything)
        return
    mode: Mode = "structural" if structural else "strict"
    found = settled(_replayed(url, _agents(with_file), run, last, mode))
    _say(found, mode, as_json=as_json)
    raise typer.Exit(DIVERGED if any(each.divergence for each in found) else 0)


def _agents(file: Path) -> dict[str, Agent]:
    """By name. Raises BrokenFile."""
    from trunkline.contracts.errors import BrokenFile
    from trunkline.definitions import collect_definitions

    agents = {agent.name: agent for agent in collect_definitions(file).agents}
    if not agents:
        raise BrokenFile(f"{file} declares no agent.", "Name the file of the agent that is to be replayed.")
    return agents


async def _read_one(url: str, run: str) -> tuple[RunKey, list[Event]]:
    from trunkline.cli.session import on_trunkline

    async with on_trunkline(url) as bus:
        return await _record(bus, run)


async def _record(bus: Bus, run: str) -> tuple[RunKey, list[Event]]:
    """The run and all that its replay needs. Raises NotFound."""
    from trunkline.bus import fold
    from trunkline.cli.log_reading import FULL_ID
    from trunkline.client.query import query
    from trunkline.contracts.errors import NotFound
    from trunkline.contracts.ids import checked_token
    from trunkline.contracts.subjects import RunKey, run_anywhere

    checked_token(run, "run")
    if len(run) < FULL_ID:
        run = (await query(bus, "ledger", "run", run=run))["summary"]["run"]
    events = await fold(bus, run_anywhere(run))
    if not events:
        raise NotFound(f"There is no run {run} on the log.", "`trunkline runs` lists them.")
    key = RunKey.of(events[0].subject)
    return key, await fold(bus, key.everything, *key.around)


async def _replayed(url: str, agents: dict[str, Agent], run: str, last: int, mode: Mode) -> list[Replayed]:
    from trunkline.cli.session import on_trunkline
    from trunkline.run.replay import replay as held

    found = []
    async with on_trunkline(url) as bus:
        for each in [run] if run else await _newest(bus, agents, last):
            key, events = await _record(bus, each)
            agent = _agent_of(key, events, agents)
            found.append(await held(agent, key, events, mode=mode))
    return found


def _agent_of(key: RunKey, events: list[Event], agents: dict[str, Agent]) -> Agent:
    """Whose run it was. Raises NotFound when the file does not declare that agent."""
    from trunkline.contracts.errors import NotFound
    from trunkline.contracts.messages import Task

    given_to = [event.subject.name for event in events if event.subject.run == key.run and isinstance(event.fact, Task)]
    for name in given_to:
        if name in agents:
            return agents[name]
    raise NotFound(
        f"Run {key.run} was given to {' and '.join(given_to) or 'no agent'}; the file declares {', '.join(agents)}.",
        "Name the file of the agent whose run it was.",
    )


async def _newest(bus: Bus, agents: dict[str, Agent], count: int) -> Sequence[str]:
    """The newest runs of these agents, oldest first."""
    from trunkline.cli.log_reading import LogReader, Wanted
    from trunkline.contracts.subjects import Subject

    subjects = [Subject.parse(message.subject) async for message in LogReader(bus, Wanted(kind="task")).stored(0)]
    return [subject.run for subject in subjects if subject.name in agents][-count:]


def _say(found: list[Replayed], mode: Mode, *, as_json: bool) -> None:
    from trunkline.cli.console import err, out, print_json, say, text
    from trunkline.cli.figures import counted

    if as_json:
        print_json([_as_data(each) for each in found])
        return
    diverging = [(each, each.divergence) for each in found if each.divergence]
    for each, difference in diverging:
        _say_divergence(each, difference)
    served = counted(sum(each.served for each in found), "step")
    if not found:
        say(err(), text((NOTHING_TO_REPLAY, "hint")))
    elif diverging:
        say(out(), text((f"{counted(len(diverging), 'run')} of {len(found)} diverged", "bad"), f" ({mode})."))
    else:
        early = sum(not each.complete for each in found)
        ended = f", {early} of which ended before the code did" if early else ""
        say(out(), text(("No divergence", "good"), f" in {counted(len(found), 'run')}, {served} ({mode}){ended}."))


def _say_divergence(found: Replayed, difference: Difference) -> None:
    from trunkline.cli.console import clean, out, print_lines, say, text

    where = "The answer differs" if difference.step == "answer" else f"Step {difference.step} differs"
    say(out(), text((where, "bad"), f" in run {found.run} of ", (clean(found.agent), "name")))
    styles = {"-": "bad", "+": "good"}
    print_lines(text((clean(line, lines=True), styles[line[0]])) for line in difference.lines)
    if difference.asked is None:
        say(out(), text(("The record has this step; the code does not ask for it.", "hint")))
    elif difference.recorded is None:
        say(out(), text(("The code asks for this step; the record ends before it.", "hint")))
    out().print()


def _as_data(found: Replayed) -> dict[str, Any]:
    divergence = asdict(found.divergence) if found.divergence else None
    return {
        "run": found.run,
        "agent": found.agent,
        "served": found.served,
        "complete": found.complete,
        "divergence": divergence,
    }
