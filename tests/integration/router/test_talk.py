"""Who the conversation is with: from memory, and from the log when memory does not reach back."""

from __future__ import annotations

import pytest

from trunkline.bus import Bus, append
from trunkline.contracts.messages import Answer, Failure, Parent, Part, Task
from trunkline.contracts.registry import TOGETHER
from trunkline.contracts.subjects import CLIENT, RunKey
from trunkline_router.deciding import talk
from trunkline_router.deciding.talk import Partners, partner_of

FIRST, SECOND, NOW = (RunKey.checked(run, "c-1") for run in ("r-1", "r-2", "r-3"))
CHILD = Task(text="?", parent=Parent(run=FIRST.run, agent="desk", step="1"))
PARTS = Task(text="?", parts=(Part(agent="a", text="?"), Part(agent="b", text="?")))


async def asked(bus: Bus) -> str:
    return await partner_of(bus, NOW, Partners())


async def test_nobody_has_answered_yet(bus: Bus) -> None:
    assert await asked(bus) == ""


async def test_the_last_answer_says_it(bus: Bus) -> None:
    for key, agent in ((FIRST, "billing"), (SECOND, "shipping")):
        await append(bus, key.step("answer", CLIENT), Answer(agent=agent, text="Yes."))
    assert await asked(bus) == "shipping"


@pytest.mark.parametrize("agent", ["", TOGETHER])
async def test_what_is_no_agents_own_answer_leaves_it_to_the_tasks(bus: Bus, agent: str) -> None:
    """A delegated run's is none of the user's."""
    await append(bus, FIRST.step("task", "desk"), Task(text="?"))
    await append(bus, RunKey.checked("r-child", "c-1").step("task", "expert"), CHILD)
    await append(bus, NOW.step("task", "itself"), Task(text="?"))
    await append(bus, SECOND.step("answer", CLIENT), Answer(agent=agent, error=Failure(code="c", message="No.")))
    assert await asked(bus) == "desk"


async def test_of_several_it_is_who_answered_the_last_question(bus: Bus) -> None:
    await append(bus, FIRST.step("task", TOGETHER), PARTS)
    await append(bus, FIRST.step("answer", CLIENT), Answer(agent=TOGETHER, text="Both."))
    assert await asked(bus) == "b"


async def test_memory_spares_the_log(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is bounded: what was not used for longest is looked up again."""
    monkeypatch.setattr(talk, "MOST", 2)
    known = Partners()
    known.placed(FIRST, "desk", Task(text="?"))
    known.placed(FIRST, "expert", CHILD)
    assert await partner_of(bus, NOW, known) == "desk"
    for conversation in ("c-2", "c-3"):
        known.placed(RunKey.checked("r", conversation), "other", Task(text="?"))
    assert known.get(NOW) is None
