"""The demonstration from start to end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from trunkline.bus import Bus
from trunkline.cli.console import out
from trunkline.cli.demo_questions import QUESTIONS
from trunkline.cli.demo_table import DemoRun, runs_table
from trunkline.cli.demo_talk import talk
from trunkline.cli.ledger_json import read
from trunkline.cli.next_steps import offline, try_next, where_things_are
from trunkline.cli.show_platform import model_of, show_platform
from trunkline.client import Answered, Client
from trunkline.client.query import query
from trunkline.host.platform import PlatformPlan
from trunkline.host.server import free_port

AGENTS = Path(__file__).with_name("demo_agents.py")
WRONG = 1
NEXT = (
    'trunkline ask "Where is parcel P-88?"',
    "trunkline runs",
    "trunkline new agent weather && trunkline run weather.py",
)


async def tour(data: Path, *, stay: bool, verbose: bool) -> int:
    """The exit code: 0 when every answer was right. With `stay`, until Ctrl-C."""
    console = out()
    plan = PlatformPlan(data=data, files=(AGENTS,), port=free_port())

    async def work(bus: Bus) -> int:
        _say_who_answers(console, model_of(plan))
        client = Client(bus, user="demo")
        answers = [await talk(console, client, number, each) for number, each in enumerate(QUESTIONS, start=1)]
        await _show_figures(console, bus, answers)
        right = sum(each.right(answered) for each, answered in zip(QUESTIONS, answers, strict=True))
        if stay:
            _say_what_next(console, plan)
            await asyncio.Event().wait()
        elif right == len(QUESTIONS):
            console.print(f"\n  All {right} as expected.\n", style="green")
        return 0 if right == len(QUESTIONS) else WRONG

    return await show_platform(plan, work, verbose=verbose, hints=False)


def _say_who_answers(console: Console, model: str) -> None:
    who = "No key is set, so the built-in offline model answers." if offline(model) else f"{model} answers."
    console.print(f"\n  {who}", style="dim")


async def _show_figures(console: Console, bus: Bus, answers: Sequence[Answered]) -> None:
    """From the ledger, which has read it all off the log meanwhile."""
    found = read(await query(bus, "ledger", "runs", limit=50), list[DemoRun])
    console.print("\n  What the ledger says of it, in milliseconds\n", style="bold")
    console.print(runs_table(found, [answered.run for answered in answers]))


def _say_what_next(console: Console, plan: PlatformPlan) -> None:
    console.print()
    where_things_are(console, url=plan.bus_url, data=plan.data, model=model_of(plan))
    try_next(console, NEXT, url=plan.bus_url)
    console.print("\n  Ctrl-C stops everything.\n", style="dim")
