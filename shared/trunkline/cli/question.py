"""One question put to the platform, its run shown as it goes."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from trunkline.bus import fold
from trunkline.client import Answered, Client, Ways
from trunkline.contracts.errors import InvalidQuestion, RunFailed, TrunklineError, UnknownAgent
from trunkline.contracts.ids import checked_token
from trunkline.contracts.messages import Failure
from trunkline.contracts.subjects import run_anywhere

if TYPE_CHECKING:
    from trunkline.bus import Bus
    from trunkline.cli.views import View


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and of whom. An empty `conversation` is a new one, or, when the `run` may have been asked for
    before (`again`), that of the run.
    """

    text: str
    run: str
    again: bool = False
    agent: str = ""
    conversation: str = ""
    user: str = ""
    timeout: timedelta = timedelta(minutes=5)
    ways: Ways = field(default_factory=Ways)

    def checked(self) -> Question:
        """Raises InvalidQuestion, InvalidName."""
        if not self.text.strip():
            raise InvalidQuestion("The question is empty.", "Write what you want to know.")
        for value, what in ((self.agent, "agent"), (self.conversation, "conversation"), (self.run, "run")):
            if value:
                checked_token(value, what)
        return self


async def put(bus: Bus, tenant: str, question: Question, view: View) -> Answered:
    """The answer, or the failure that was recorded in its place. Raises DeadlinePassed, BusUnavailable."""
    client = Client(bus, user=question.user, tenant=tenant)
    conversation = question.conversation
    if question.again and not conversation:
        conversation = await _conversation_of(bus, question.run)
    with view:
        asking = client.stream(
            question.text,
            conversation=conversation,
            agent=question.agent,
            run=question.run,
            timeout=question.timeout,
            **question.ways,
        )
        async with contextlib.aclosing(asking) as items:
            async for item in items:
                if isinstance(item, Answered):
                    return item
                view.take(item)
    raise AssertionError("a stream ends with its answer")


def failure_of(answered: Answered, question: Question) -> TrunklineError | None:
    """The recorded failure as the error that it is, if there is one."""
    if answered.error is None:
        return None
    return recorded(answered.error, named=bool(question.agent), run=answered.run)


def recorded(failure: Failure, *, named: bool, run: str = "") -> TrunklineError:
    """To name an agent that is not there is the caller's mistake; that nobody is there is not."""
    kind: type[TrunklineError] = RunFailed
    if failure.code == InvalidQuestion.code:
        kind = InvalidQuestion
    elif failure.code == UnknownAgent.code and named:
        kind = UnknownAgent
    error = kind(failure.message, failure.hint)
    error.data = {**failure.data, "code": failure.code, "run": run}
    return error


async def _conversation_of(bus: Bus, run: str) -> str:
    """Where a run that is asked for again lives, so that it is found and not begun a second time."""
    events = await fold(bus, run_anywhere(run))
    return str(events[0].subject.conversation) if events else ""
