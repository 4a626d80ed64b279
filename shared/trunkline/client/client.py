"""The Python client: publish a request, watch its run, await its answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Unpack

import msgspec

from trunkline.bus import Bus, append, fold
from trunkline.bus.provision import provisioned
from trunkline.bus.streams import stream_info
from trunkline.client.feedback import give_feedback
from trunkline.client.progress import Answered, StreamItem
from trunkline.client.watch import answer_of, watch
from trunkline.client.ways import Ways, seconds_of
from trunkline.contracts.errors import (
    AlreadyEnded,
    BusUnavailable,
    DeadlinePassed,
    InvalidQuestion,
    NotFound,
    RunFailed,
)
from trunkline.contracts.ids import DEFAULT_TENANT, checked_token, new_conversation_id, new_event_id, new_run_id
from trunkline.contracts.messages import Cancel, Failure, Feedback, Request
from trunkline.contracts.subjects import ROUTER, TRUNK, RunKey, filter_of

DEFAULT_URL = "nats://127.0.0.1:4222"
PATIENCE = timedelta(minutes=5)
LEAVE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its text, and where to find out how it came about."""

    text: str
    agent: str
    run: str
    conversation: str

    def __str__(self) -> str:
        return self.text


class Client:
    """Asks the platform. Open it with `async with Client.connect(url) as client`."""

    def __init__(self, bus: Bus, *, user: str = "", tenant: str = DEFAULT_TENANT) -> None:
        self.bus = bus
        self.user = user
        self.tenant = checked_token(tenant, "tenant")

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls, url: str = DEFAULT_URL, *, user: str = "", tenant: str = DEFAULT_TENANT, wait: float = 5.0
    ) -> AsyncIterator[Client]:
        """Raises BusUnavailable when no bus with a Trunkline on it answers within `wait` seconds."""
        async with Bus.open(url, name="trunkline-client", wait=wait) as bus:
            if not await provisioned(bus):
                raise BusUnavailable(f"There is no Trunkline on the bus at {url}.", "Start it with `trunkline up`.")
            yield cls(bus, user=user, tenant=tenant)

    async def ask(
        self,
        text: str,
        *,
        conversation: str = "",
        agent: str = "",
        timeout: timedelta | float = PATIENCE,  # the deadline is part of what is asked
        **ways: Unpack[Ways],
    ) -> Reply:
        """The answer. Raises InvalidQuestion, RunFailed (the recorded failure), DeadlinePassed, BusUnavailable.

        `timeout` is how long we wait; see `Ways` for how long the run may take, and what becomes of it when we leave.
        """
        key = self._key("", conversation)
        publish = self._publishing(key, text, agent, ways, first=not conversation)
        async with self._leaving(key, ways) as answered:
            item = await answer_of(self.bus, key, publish, seconds_of(timeout))
            answered.set()
        if item.error:
            raise failed(item.error, item.run)
        return Reply(item.text, item.agent, item.run, item.conversation)

    async def stream(
        self,
        text: str,
        *,
        conversation: str = "",
        agent: str = "",
        run: str = "",
        timeout: timedelta | float = PATIENCE,
        **ways: Unpack[Ways],
    ) -> AsyncGenerator[StreamItem, None]:
        """Progress and text as they come; the last item is `Answered`. `run` may be given (a UUIDv7) so that asking
        again after a failure asks the same thing. Raises InvalidQuestion, DeadlinePassed, BusUnavailable.
        """
        key = self._key(run, conversation)
        publish = self._publishing(key, text, agent, ways, first=not conversation)
        async with self._leaving(key, ways) as answered:
            async for item in watch(self.bus, key, publish, seconds_of(timeout)):
                if isinstance(item, Answered):
                    answered.set()
                yield item

    def conversation(self, conversation: str = "") -> Conversation:
        """Questions that follow one another: the agent sees what was said before."""
        return Conversation(self, conversation or new_conversation_id(), opens=not conversation)

    def _publishing(
        self, key: RunKey, text: str, agent: str, ways: Ways, *, first: bool
    ) -> Callable[[], Awaitable[None]]:
        """What asks, once somebody listens for the answer. Raises InvalidQuestion."""
        if not text.strip():
            raise InvalidQuestion("The question is empty.", "Write what you want to know.")
        request = Request(
            text=text,
            user=self.user,
            agent=agent,
            first=first,
            id=new_event_id(),
            order=ways.get("order", ""),
            fresh=ways.get("fresh", False),
        )
        deadline = ways.get("deadline")

        async def publish() -> None:
            asked, subject = request, key.step("request", ROUTER)
            if deadline is not None:
                ends = (await stream_info(self.bus, TRUNK)).now + timedelta(seconds=seconds_of(deadline))
                asked = msgspec.structs.replace(request, deadline=ends)
            if not first and ways.get("opens"):
                opening = msgspec.structs.replace(asked, first=True)
                if (await append(self.bus, subject, opening, alone_in=key.history[0])).own:
                    return
            await append(self.bus, subject, asked)

        return publish

    @contextlib.asynccontextmanager
    async def _leaving(self, key: RunKey, ways: Ways) -> AsyncIterator[asyncio.Event]:
        """Whoever leaves before the event is set may want the run to stop."""
        answered = asyncio.Event()
        stops = ways.get("on_disconnect") == "cancel"
        try:
            yield answered
        except DeadlinePassed as error:
            if not stops:
                raise
            told = f"{error.what.partition(';')[0]}; run {key.run} was told to stop."
            raise DeadlinePassed(told, f"See how it ended: `trunkline show {key.run}`.", run=key.run) from error
        finally:
            if stops and not answered.is_set():
                with contextlib.suppress(BusUnavailable):
                    gone = Cancel(by=self.user, reason="Whoever asked did not wait for the answer.")
                    await append(self.bus, key.cancel, gone, wait=LEAVE_SECONDS)

    def _key(self, run: str, conversation: str) -> RunKey:
        return RunKey.checked(run or new_run_id(), conversation or new_conversation_id(), self.tenant)

    async def watch(self, run: str, conversation: str, *, timeout: float = 300.0) -> AsyncIterator[StreamItem]:
        """A run that was asked for before, or elsewhere."""
        key = RunKey.checked(run, conversation, self.tenant)
        async for item in watch(self.bus, key, None, timeout):
            yield item

    async def cancel(self, run: str, conversation: str = "", *, reason: str = "") -> RunKey:
        """Tell a run to stop; without `conversation`, wherever it is found.

        Raises InvalidName, NotFound, AlreadyEnded, BusUnavailable.
        """
        if conversation:
            events = await fold(self.bus, RunKey.checked(run, conversation, self.tenant).everything)
        else:
            events = await fold(self.bus, filter_of(tenant=self.tenant, run=checked_token(run, "run")))
        if not events:
            raise NotFound(f"There is no run {run}.", "`trunkline runs` lists them.")
        key = RunKey.of(events[0].subject)
        if any(event.subject.kind == "answer" for event in events):
            raise AlreadyEnded(f"Run {run} has ended.", f"See how: `trunkline show {run}`.", run=run)
        await append(self.bus, key.cancel, Cancel(by=self.user, reason=reason))
        return key

    async def feedback(self, reply: Reply | str, verdict: int, comment: str = "", *, agent: str = "") -> None:
        """-1, 0 or 1, of a reply or of a run's answer; the last word counts. `agent`: who should have answered.

        Raises InvalidArguments, NotFound, UnknownAgent, CallerMistake, BusUnavailable.
        """
        run = reply if isinstance(reply, str) else reply.run
        said = Feedback(verdict=verdict, agent=agent, comment=comment, by=self.user)
        await give_feedback(self.bus, self.tenant, run, said)


def failed(failure: Failure, run: str) -> RunFailed:
    """A recorded failure as an error: its data has the failure's own, its code, and the run."""
    error = RunFailed(failure.message, failure.hint)
    error.data = {**failure.data, "code": failure.code, "run": run}
    return error


class Conversation:
    """A thread of questions with one id; it `opens` with the first of them."""

    def __init__(self, client: Client, id: str, *, opens: bool = False) -> None:  # noqa: A002  # the field's own word
        self._client = client
        self._opens = opens
        self.id = id

    async def ask(
        self, text: str, *, agent: str = "", timeout: timedelta | float = PATIENCE, **ways: Unpack[Ways]
    ) -> Reply:
        self._begin(ways)
        return await self._client.ask(text, conversation=self.id, agent=agent, timeout=timeout, **ways)

    def stream(
        self, text: str, *, agent: str = "", timeout: timedelta | float = PATIENCE, **ways: Unpack[Ways]
    ) -> AsyncGenerator[StreamItem, None]:
        self._begin(ways)
        return self._client.stream(text, conversation=self.id, agent=agent, timeout=timeout, **ways)

    def _begin(self, ways: Ways) -> None:
        ways.setdefault("opens", self._opens)
        self._opens = False
