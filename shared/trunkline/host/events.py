"""What a supervisor tells whoever looks on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trunkline.host.log_lines import LogLine


@dataclass(frozen=True, slots=True)
class Ready:
    """It takes work, `seconds` after it was started."""

    service: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Left:
    """It ended by itself, with this exit code (negative: the signal), and is started again after a pause."""

    service: str
    code: int
    again_in: float


@dataclass(frozen=True, slots=True)
class GaveUp:
    """It refused to start for a reason that starting again does not mend; its own words were said before."""

    service: str


Event = LogLine | Ready | Left | GaveUp
Tell = Callable[[Event], None]
