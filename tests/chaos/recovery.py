"""How long an interrupted run stood still, read from the log.

Interrupted is a run whose model call or tool call was under way in a process when that process was killed or stopped.
It has recovered with the next fact on the log: by whoever took over, or by the same process once it went on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise

from tests.chaos.faults import Happened, Kind
from tests.chaos.run_log import RunLog
from tests.platform import service_of
from trunkline.contracts.messages import Result


def recoveries(
    runs: Sequence[RunLog], happened: Sequence[Happened], executors: Mapping[str, Sequence[int]]
) -> list[float]:
    """Seconds, of every interruption. `executors`: which processes had a call begun, by call id."""
    found: list[float] = []
    for strike in happened:
        if strike.fault.kind not in {Kind.KILL, Kind.FREEZE}:
            continue
        for run in runs:
            match service_of(strike.fault.victim):
                case "agents":
                    found += _of_models(run, strike)
                case "tools":
                    found += _of_tools(run, strike, executors)
    return found


def silences(runs: Sequence[RunLog], at_least: float) -> list[float]:
    """Seconds between two facts of one run, whoever's fault it was; the longest of each run."""
    longest = (
        max(((after.at - before.at).total_seconds() for before, after in pairwise(run.events)), default=0.0)
        for run in runs
    )
    return [seconds for seconds in longest if seconds >= at_least]


def _of_models(run: RunLog, strike: Happened) -> Iterator[float]:
    for step, prompts in run.prompts.items():
        for event, prompt in prompts:
            if _process(prompt.worker) != strike.pid or event.at > strike.struck:
                continue
            model = run.models.get(step)
            survived = model is not None and model[1].attempt == prompt.attempt
            if model and (model[0].at <= strike.struck or (survived and strike.fault.kind is Kind.KILL)):
                continue
            if (seconds := _until_next(run, strike.struck)) is not None:
                yield seconds


def _of_tools(run: RunLog, strike: Happened, executors: Mapping[str, Sequence[int]]) -> Iterator[float]:
    results = {str(event.subject.step): (event, result) for event, result in run.of(Result)}
    for step, (event, _call) in run.calls.items():
        if strike.pid not in executors.get(f"{run.key.run}-{step}", ()) or event.at > strike.struck:
            continue
        found = results.get(step)
        if found is None or found[0].at <= strike.struck:
            continue
        if strike.fault.kind is Kind.KILL and _process(found[1].executor) == strike.pid:
            continue
        if (seconds := _until_next(run, strike.struck)) is not None:
            yield seconds


def _until_next(run: RunLog, moment: datetime) -> float | None:
    return next(((event.at - moment).total_seconds() for event in run.events if event.at > moment), None)


def _process(worker: str) -> int:
    """The pid in `<host>-<pid>-<random>`."""
    pid = worker.split("-")[-2:-1]
    return int(pid[0]) if pid and pid[0].isdecimal() else 0
