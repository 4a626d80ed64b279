"""The whole log of one service, as it was written; that of earlier starts stands beside it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import BinaryIO

KEPT = 3


class LogFile:
    """`<folder>/<name>.log`; on opening, the last one becomes `<name>.1.log`, and so on up to KEPT."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.log"
        folder.mkdir(parents=True, exist_ok=True)
        self._rotate(folder, name)
        self._file: BinaryIO = self.path.open("ab", buffering=0)

    def write(self, line: bytes) -> None:
        """A full disk must not stop the service that is being logged."""
        with contextlib.suppress(OSError):
            self._file.write(line + b"\n")

    def close(self) -> None:
        self._file.close()

    def _rotate(self, folder: Path, name: str) -> None:
        if not self.path.exists() or not self.path.stat().st_size:
            return
        for number in range(KEPT - 1, 0, -1):
            earlier = folder / f"{name}.{number}.log"
            if earlier.exists():
                earlier.replace(folder / f"{name}.{number + 1}.log")
        self.path.replace(folder / f"{name}.1.log")
