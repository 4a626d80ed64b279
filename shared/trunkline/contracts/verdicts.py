"""What the log says of an answer beside the answer itself: the notes of a check, whose steps have fixed names so that
one filter finds them all; and the steps of people's feedback.
"""

from __future__ import annotations

import hashlib

from trunkline.contracts.ids import StepName

CHECK_STEP, CHECKED = StepName("check"), "checked"
"""`passed`, `by` (`function`, `model`), and `why` not."""
ESCALATION_STEP, ESCALATED = StepName("escalated"), "escalated"
"""The large tier is asked in place of the small one, and `why`."""
KEPT = "kept"
"""The large tier was not asked, and `why`: the answer is one that did not pass its check."""
SAVING_STEP = StepName("saving-tier")
MOST_VERDICTS = 20
"""How often one user may give a verdict on one run."""


def feedback_step(user: str, number: int) -> StepName:
    """A user's verdict number 1, 2, …: the newest counts. A user's name may be any text, so a digest stands for it."""
    return StepName(f"{hashlib.sha256(user.encode()).hexdigest()[:24]}-{number}")
