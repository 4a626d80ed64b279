"""What was not spent, and why: one kind of note, so that one reader can add it all up."""

from __future__ import annotations

from typing import Any, Literal

from trunkline.contracts.messages import Note

SAVING = "saving"
Lever = Literal["answer_cache", "alike_cache", "model_cache", "tier", "history", "tools", "results"]
"""`answer_cache`: another run's answer, of the same question or (`alike_cache`) of one that means the same;
`model_cache`: a model's earlier reply; `tier`: a smaller model than the large one; `history`, `tools`, `results`: parts
of a prompt that were left out.
"""


def saving_step(lever: Lever) -> str:
    """Under which a run's saving is noted: one per lever."""
    return f"saving-{lever}"


def saving(lever: Lever, *, cost: str = "", tokens: int = 0, **more: Any) -> Note:  # any JSON values
    """`cost`: US dollars as an exact decimal, where it is known; `tokens`: an estimate of those that were not sent, of
    which `cost` is the exact price. With `extra`, as much was spent on top instead, for it was tried in vain.
    """
    return Note(what=SAVING, data={"lever": lever, "cost": cost, "tokens": tokens, **more})
