"""`trunkline up`: the whole platform on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.hosting_options import CONFIG, DATA, DEFAULT_DATA, DRAIN, VERBOSE

if TYPE_CHECKING:
    from trunkline.bus import Bus

DEFAULT_PORT = 4222


def up(
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE", help="Agent and tool files.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the bus that is started.")] = DEFAULT_PORT,
    url: Annotated[
        str, typer.Option(envvar="NATS_URL", metavar="URL", help="A bus that runs already; then none is started.")
    ] = "",
    data: Annotated[Path, DATA] = DEFAULT_DATA,
    config: Annotated[Path | None, CONFIG] = None,
    drain: Annotated[float, DRAIN] = 20.0,
    verbose: Annotated[bool, VERBOSE] = False,
) -> None:
    """Start the whole platform on this machine, with the agents and tools of the given files. Ctrl-C stops it."""
    from trunkline.cli.session import run
    from trunkline.cli.show_platform import show_platform
    from trunkline.host.platform import PlatformPlan

    plan = PlatformPlan(data=data, files=tuple(files or ()), url=url, port=port, config=config, drain=drain)
    raise typer.Exit(run(show_platform(plan, stay, verbose=verbose)))


async def stay(bus: Bus) -> int:  # noqa: ARG001  # there is nothing more to do with it
    """Until somebody stops it."""
    import asyncio

    await asyncio.Event().wait()
    return 0
