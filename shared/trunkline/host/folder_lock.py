"""One platform, one data folder: two on the same one would spoil it."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from trunkline.contracts.errors import InvalidSettings

NAME = "lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder while inside; the lock goes with the process. Raises InvalidSettings when it is held."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / NAME).open("w")
    except OSError as error:
        raise InvalidSettings(
            f"The data folder {folder} cannot be written: {error.strerror}.", "Choose another one with --data."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InvalidSettings(
                f"The data folder {folder} is in use by a running `trunkline up`.",
                "Stop that one, or choose another folder with --data.",
            ) from error
        yield
