"""The options of the commands that run processes."""

from pathlib import Path
from typing import Any

import typer

DEFAULT_DATA = Path(".trunkline")

DATA: Any = typer.Option(envvar="TRUNKLINE_DATA", help="The folder for what is kept, logs among it.")
CONFIG: Any = typer.Option(
    envvar="TRUNKLINE_CONFIG", exists=True, dir_okay=False, help="Settings; else trunkline.toml, if there is one."
)
DRAIN: Any = typer.Option(envvar="TRUNKLINE_DRAIN", min=0, help="Seconds that work under way may take at the end.")
VERBOSE: Any = typer.Option("--verbose", "-v", help="Show every line of the services' logs.")
