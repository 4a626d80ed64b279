"""`trunkline demo`: the whole platform, a handful of questions, and what they took."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trunkline.cli.hosting_options import VERBOSE


def demo(
    data: Annotated[Path | None, typer.Option(help="Keep everything in this folder.", show_default=False)] = None,
    stay: Annotated[
        bool | None,
        typer.Option("--stay/--leave", help="Stay up afterwards. Else only on a terminal.", show_default=False),
    ] = None,
    verbose: Annotated[bool, VERBOSE] = False,
) -> None:
    """Start everything, ask a few questions, and show what they took. No key needed; with one, its models answer."""
    import tempfile

    from trunkline.cli.console import out
    from trunkline.cli.demo_tour import tour
    from trunkline.cli.session import run

    stays = out().is_terminal if stay is None else stay
    if data is not None:
        raise typer.Exit(run(tour(data, stay=stays, verbose=verbose)))
    with tempfile.TemporaryDirectory(prefix="trunkline-demo-", ignore_cleanup_errors=True) as folder:
        raise typer.Exit(run(tour(Path(folder), stay=stays, verbose=verbose)))
