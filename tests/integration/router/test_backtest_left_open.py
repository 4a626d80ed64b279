"""What a backtest that does not come to its end leaves on the log: every run ends, and what was paid is counted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.router.test_backtest_hosted import written_after
from tests.integration.router.test_hosted import UNSURE, asking
from tests.provider import says
from trunkline.bus import Bus, append
from trunkline.bus.streams import stream_info
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Fact, Note, Request
from trunkline.contracts.subjects import CLASSIFY, ROUTER, TRIED, TRUNK, RunKey, Subject
from trunkline_router.classifiers.choice import best_classifier
from trunkline_router.deciding.backtest import Backtest, Candidate, Trial, Tried
from trunkline_router.deciding.hosted import HostedModel
from trunkline_router.deciding.shown import AT_ONCE
from trunkline_router.settings import RouterSettings


async def test_what_a_router_that_died_was_about_to_show_is_ended_by_the_next_one(bus: Bus, tmp_path: Path) -> None:
    """It is no question for an agent; what was held back for it counts as spent."""
    conversation = new_conversation_id()
    left = [RunKey.checked(new_run_id(), conversation) for _ in range(2)]
    for key in left:
        await append(bus, key.step("request", TRIED), Request(text=UNSURE, user="ada", first=True))
    about = Note(what=CLASSIFY, data={"model": "house:m", "reserved": "0.25", "hold": "h"})
    await append(bus, left[0].step("note", ROUTER, CLASSIFY), about)
    brief = asking(bus, tmp_path, says("shipping"), router_queue_seconds=0.1, router_run_seconds=1)
    async with brief as (platform, provider):
        said = [await platform.answer(key) for key in left]
        kinds = [Subject.parse(each.subject).kind for each in await written_after(bus, 0)]
    assert [answer.error.code for answer in said if answer.error] == ["deadline_passed"] * 2
    assert all(answer.error and "waited for the router" in answer.error.message for answer in said)
    assert [answer.cost for answer in said] == ["0.25", ""]
    assert ("task" in kinds, provider.questions) == (False, [])


async def test_one_whose_outcome_is_lost_ends_the_backtest_once_those_under_way_are_over(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody says of it that it cost nothing: it has no answer, so the router ends it. No other is paid any more."""
    record, lost = HostedModel._record, BusUnavailable("The bus is away.")

    async def lose_the_first(self: HostedModel, key: RunKey, note: Note) -> Fact:
        if not lost.data:
            lost.data = {"run": key.run}
            raise lost
        return await record(self, key, note)

    monkeypatch.setattr(HostedModel, "_record", lose_the_first)
    async with asking(bus, tmp_path, says("shipping"), router_model="") as (platform, provider):
        settings = RouterSettings.model_validate({"config": str(tmp_path / "trunkline.toml")})
        backtest = Backtest(platform.routes, settings, best_classifier, lambda: bus)
        questions = [Tried(text=f"{UNSURE} {number}") for number in range(2 * AT_ONCE)]
        candidate = Candidate(router_model="house:m", router_confident=0.99)
        trial = Trial(since=datetime.now(UTC), questions=questions, candidate=candidate, hosted="asked", user="ada")
        before = (await stream_info(bus, TRUNK)).last_sequence
        with pytest.raises(BusUnavailable, match="is away"):
            await backtest(trial)
        subjects = [Subject.parse(each.subject) for each in await written_after(bus, before)]
    asked, answered = ({each.run for each in subjects if each.kind == kind} for kind in ("request", "answer"))
    assert len(provider.questions) == len(asked) < len(questions)
    assert asked - answered == {lost.data["run"]}
