"""How a call's attempts are named, so that every fact about a call says whose it is.

`started` stands under `<step>-<attempt>`; what a person is asked about an attempt that is in doubt, and what they
decide, under `doubt-<step>-<attempt>`; what they are asked before the first attempt, under the call's own step.
"""

from __future__ import annotations

from trunkline.contracts.errors import BadMessage
from trunkline.contracts.ids import RunId, StepName

DOUBT = "doubt-"
LONGEST_STEP = 48
"""Of a call, in characters: what is named after it must fit into a token."""


def started_step(step: str, attempt: int) -> StepName:
    return StepName(f"{step}-{attempt}")


def doubt_step(step: str, attempt: int) -> StepName:
    return StepName(f"{DOUBT}{step}-{attempt}")


def attempt_of(kind: str, step: str) -> tuple[StepName, int]:
    """The step of the call that such a fact is about, and the attempt; 0 where it is about none."""
    if kind == "started":
        return _split(step)
    if kind in ("approval", "decision") and step.startswith(DOUBT):
        return _split(step.removeprefix(DOUBT))
    return StepName(step), 0


def check_step(step: str) -> None:
    """Raises BadMessage for a call whose attempts could not be named."""
    if step.startswith(DOUBT) or len(step) > LONGEST_STEP:
        raise BadMessage(
            f"a call cannot be named {step!r}.",
            f"Name it with at most {LONGEST_STEP} characters, not beginning with {DOUBT}.",
        )


def call_name(run: str, step: str) -> str:
    """How people name a call on the command line."""
    return f"{run}/{step}"


def parse_call_name(name: str) -> tuple[RunId, StepName]:
    """The beginning of the run's id, and the step; empty when only a run was named."""
    run, _, step = name.partition("/")
    return RunId(run), StepName(step)


def _split(step: str) -> tuple[StepName, int]:
    """A step that bears no attempt, as other publishers may write it, is about the first one."""
    call, dash, attempt = step.rpartition("-")
    return (StepName(call), int(attempt)) if dash and attempt.isdecimal() else (StepName(step), 1)
