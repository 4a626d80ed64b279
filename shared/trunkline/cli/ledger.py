"""`trunkline ledger rebuild`: the tables read again from the log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trunkline.cli.options import Json, Url


def rebuild(
    check: Annotated[
        bool, typer.Option("--check", help="Only compare: a fresh reading of the log against the tables.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option("--data", help="The platform's data folder. Else TRUNKLINE_DATA, else .trunkline.")
    ] = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Read the log again from its beginning and put the rows in place of the ledger's: the same rows, the same cents.

    Stop the ledger first; `--check` works beside a running one.
    """
    import os
    import subprocess
    import sys
    from importlib.util import find_spec

    from trunkline.cli.settings import CliSettings
    from trunkline.contracts.errors import InvalidSettings

    if find_spec("trunkline_ledger") is None:
        raise InvalidSettings("The ledger is not installed here.", "Install the package trunkline-ledger.")
    settings = CliSettings.load()
    environment = os.environ | {"NATS_URL": url or settings.nats_url}  # noqa: TID251  # handed on to the child
    if data:
        environment["TRUNKLINE_DATA"] = str(data)
    options = [*(["--check"] if check else []), *(["--json"] if as_json else [])]
    done = subprocess.run([sys.executable, "-m", "trunkline_ledger", "rebuild", *options], env=environment, check=False)
    raise typer.Exit(done.returncode)
