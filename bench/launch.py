"""Starts a module as `python -m` would, watched: `python -m bench.launch [--uvloop] [--sample FILE] MODULE [ARG …]`.

`--sample`: from SIGUSR1 on, at every millisecond of CPU time (or tick of the kernel, when that is coarser), the Python
function that is running is counted; the counts are written as JSON when the process ends. What C code spends is counted
for its caller.
"""

from __future__ import annotations

import argparse
import atexit
import importlib
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

import orjson

INTERVAL = 0.001
START_SAMPLING = signal.SIGUSR1


class Sampler:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._own: Counter[str] = Counter()
        self._with_callees: Counter[str] = Counter()

    def arm(self) -> None:
        signal.signal(signal.SIGPROF, self._look)
        signal.signal(START_SAMPLING, self._start)
        signal.signal(signal.SIGTERM, _leave)  # until the service sets its own: `atexit` needs an orderly end
        atexit.register(self._write)

    def _start(self, number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)

    def _look(self, number: int, frame: FrameType | None) -> None:
        if frame is None:
            return
        self._own[_name(frame)] += 1
        above = set()
        while frame is not None:
            above.add(_name(frame))
            frame = frame.f_back
        self._with_callees.update(above)

    def _write(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._file.write_bytes(orjson.dumps({"own": self._own, "with_callees": self._with_callees}))


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


def _name(frame: FrameType) -> str:
    code = frame.f_code
    return f"{'/'.join(Path(code.co_filename).parts[-3:])}:{code.co_qualname}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--sample", type=Path)
    parser.add_argument("module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.uvloop:
        importlib.import_module("uvloop").install()
    if options.sample:
        Sampler(options.sample).arm()
    sys.argv = [options.module, *options.arguments]
    runpy.run_module(options.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
