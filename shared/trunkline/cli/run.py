"""`trunkline run FILE.py`: agents and tools join the running platform."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.hosting_options import CONFIG, DATA, DEFAULT_DATA, DRAIN, VERBOSE
from trunkline.cli.options import Url

if TYPE_CHECKING:
    from trunkline.host.declarations import Declared
    from trunkline.host.environment import Told


def run_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Declares agents, tools or both.", show_default=False)],
    url: Url = "",
    data: Annotated[Path, DATA] = DEFAULT_DATA,
    config: Annotated[Path | None, CONFIG] = None,
    drain: Annotated[float, DRAIN] = 20.0,
    verbose: Annotated[bool, VERBOSE] = False,
) -> None:
    """Join the agents and tools of a file to the running platform. Nothing restarts; Ctrl-C drains and leaves."""
    from trunkline.cli.session import run
    from trunkline.cli.settings import CliSettings
    from trunkline.host.environment import Told

    told = Told(url=url or CliSettings.load().nats_url, data=data, config=config, drain=drain)
    raise typer.Exit(run(_join(file, told, verbose=verbose)))


async def _join(file: Path, told: Told, *, verbose: bool) -> int:
    """The exit code. Raises BrokenFile, BusUnavailable, InvalidSettings."""
    from trunkline.bus import Bus
    from trunkline.cli.console import out
    from trunkline.cli.screen import Screen
    from trunkline.cli.startup import Part
    from trunkline.host.declarations import declarations
    from trunkline.host.joining import Joining, has_router

    (declared,) = await declarations([file])
    tools, agents = ", ".join(declared.tools), ", ".join(agent.name for agent in declared.agents)
    parts = [Part(name, about) for name, about in (("tools", tools), ("agents", agents)) if about]
    screen = Screen(out(), parts, told.data / "logs", verbose=verbose)
    joining = Joining(file, declared, told, screen.tell)

    async def inside(bus: Bus) -> int:
        _say_registered(declared, told.url, routed=await has_router(bus))
        await joining.until_all_gave_up()
        return 2

    out().print(f"\n  {file.name} joins the platform at {told.url}\n", style="bold")
    return await screen.accompany(joining, inside)


def _say_registered(declared: Declared, url: str, *, routed: bool) -> None:
    from trunkline.cli.console import out
    from trunkline.cli.next_steps import quoted, try_next

    names = [agent.name for agent in declared.agents]
    if names:
        several = len(names) > 1
        are, its = ("are", "their") if several else ("is", "its")
        out().print(f"\n  {_listed(names)} {are} registered; the router sends {its} questions here.", soft_wrap=True)
        if not routed:
            out().print(f"  No router answers on this bus yet: until one does, {its} questions wait.", style="warn")
        for example in [agent.examples[0] for agent in declared.agents if agent.examples][:1]:
            try_next(out(), [f"trunkline ask {quoted(example)}"], url=url)
    else:
        out().print(f"\n  {_listed(list(declared.tools))} can be called by every agent that lists it.", soft_wrap=True)
    out().print("\n  Ctrl-C drains and leaves.\n", style="dim")


def _listed(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
