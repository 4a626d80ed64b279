"""Running the whole platform for somebody who looks on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from rich.console import Console

from trunkline import __version__
from trunkline.bus import Bus
from trunkline.cli.console import out
from trunkline.cli.next_steps import first_commands, try_next, where_things_are
from trunkline.cli.screen import Screen
from trunkline.cli.startup import Part
from trunkline.host.declarations import Declared, declarations
from trunkline.host.platform import Platform, PlatformPlan
from trunkline.models.settings import ModelSettings
from trunkline.models.tiers import resolve

Work = Callable[[Bus], Awaitable[int]]


async def show_platform(plan: PlatformPlan, work: Work, *, verbose: bool = False, hints: bool = True) -> int:
    """Start everything, do `work`, stop everything; the exit code. `hints`: say where things are and what to try.

    Raises BrokenFile, InvalidSettings and BusUnavailable before anything is started, DeadlinePassed.
    """
    console = out()
    model = model_of(plan)
    declared = await declarations(plan.files)
    screen = Screen(console, parts(plan, declared), plan.logs, verbose=verbose)
    platform = Platform(plan, screen.tell)

    async def inside(bus: Bus) -> int:
        if hints:
            _say_where(console, plan, declared, model)
        return await work(bus)

    console.print(f"\n  Trunkline {__version__}\n", style="bold")
    return await screen.accompany(platform, inside)


def model_of(plan: PlatformPlan) -> str:
    """What answers: `provider:model` of the small tier, the first of its chain. Raises InvalidSettings."""
    return resolve(ModelSettings.load(plan.config), "small")[0]


def parts(plan: PlatformPlan, declared: Sequence[Declared]) -> list[Part]:
    """The lines of the picture."""
    agents = [agent.name for file in declared for agent in file.agents]
    tools = [tool for file in declared for tool in file.tools]
    bus = Part("bus", f"yours, {plan.url}", 0.0) if plan.url else Part("bus", f"nats-server on port {plan.port}")
    return [
        bus,
        Part("router", "sends each question to the agent that fits"),
        Part("agents", ", ".join([*agents, "generalist"])),
        Part("tools", ", ".join([*tools, "calculate", "time_now"])),
        Part("ledger", "what happened, what it cost, how long it took"),
    ]


def _say_where(console: Console, plan: PlatformPlan, declared: Sequence[Declared], model: str) -> None:
    console.print()
    where_things_are(console, url=plan.bus_url, data=plan.data, model=model)
    try_next(console, first_commands(declared), url=plan.bus_url)
    console.print("\n  Ctrl-C stops everything.\n", style="dim")
