"""A last word from who typed the command, before something that cannot be taken back."""

from __future__ import annotations

import sys

import typer


def confirm(question: str, *, whether: str) -> None:
    """Raises InvalidArguments where nobody can be asked, and Abort on a no."""
    from trunkline.contracts.errors import InvalidArguments

    if not sys.stdin.isatty():
        raise InvalidArguments(f"Nobody can be asked whether to {whether}.", "Say so with --yes.")
    typer.confirm(question, abort=True, err=True)
