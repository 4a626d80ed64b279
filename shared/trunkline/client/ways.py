"""How a question is asked, beside what is asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, TypedDict


class Ways(TypedDict, total=False):
    """All may be left out.

    `deadline`: how long the run may take, a number being seconds; it is ended then, whoever still waits. Else the
    platform's own limit holds. `order`: while an earlier question of the conversation has no answer, this one waits
    (`queue`), goes ahead (`parallel`), or takes its place (`replace`). `on_disconnect`: what becomes of the run when
    whoever asked leaves before the answer. `fresh`: an answer that was given before will not do. `opens`: the
    conversation is a new one, whose id the caller made; unless something was asked in it after all, its first question
    is like any that stands alone.
    """

    deadline: timedelta | float
    order: Literal["queue", "parallel", "replace"]
    on_disconnect: Literal["continue", "cancel"]
    fresh: bool
    opens: bool


def seconds_of(time: timedelta | float) -> float:
    return time.total_seconds() if isinstance(time, timedelta) else time
