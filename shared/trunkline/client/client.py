"""The Python client: publish a request, watch its run, await its answer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from trunkline.bus import Bus, append
from trunkline.bus.provision import provisioned
from trunkline.client.progress import StreamItem
from trunkline.client.watch import answer_of, watch
from trunkline.contracts.errors import BusUnavailable, InvalidQuestion, RunFailed
from trunkline.contracts.ids import DEFAULT_TENANT, checked_token, new_conversation_id, new_run_id
from trunkline.contracts.messages import Cancel, Feedback, Request
from trunkline.contracts.subjects import ROUTER, RunKey

DEFAULT_URL = "nats://127.0.0.1:4222"
PATIENCE = timedelta(minutes=5)


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
    ) -> Reply:
        """The answer. Raises InvalidQuestion, RunFailed (the recorded failure), DeadlinePassed, BusUnavailable."""
        key = self._key("", conversation)
        publish = self._publishing(key, text, agent, first=not conversation)
        item = await answer_of(self.bus, key, publish, _seconds(timeout))
        if item.error:
            raise RunFailed(item.error.message, item.error.hint, code=item.error.code, run=item.run)
        return Reply(item.text, item.agent, item.run, item.conversation)

    async def stream(
        self,
        text: str,
        *,
        conversation: str = "",
        agent: str = "",
        run: str = "",
        timeout: timedelta | float = PATIENCE,
    ) -> AsyncIterator[StreamItem]:
        """Progress and text as they come; the last item is `Answered`. `run` may be given (a UUIDv7) so that asking
        again after a failure asks the same thing. Raises InvalidQuestion, DeadlinePassed, BusUnavailable.
        """
        key = self._key(run, conversation)
        publish = self._publishing(key, text, agent, first=not conversation)
        async for item in watch(self.bus, key, publish, _seconds(timeout)):
            yield item

    def conversation(self, conversation: str = "") -> Conversation:
        """Questions that follow one another: the agent sees what was said before."""
        return Conversation(self, conversation or new_conversation_id())

    def _publishing(self, key: RunKey, text: str, agent: str, *, first: bool) -> Callable[[], Awaitable[None]]:
        """What asks, once somebody listens for the answer. Raises InvalidQuestion."""
        if not text.strip():
            raise InvalidQuestion("The question is empty.", "Write what you want to know.")
        request = Request(text=text, user=self.user, agent=agent, first=first)

        async def publish() -> None:
            await append(self.bus, key.step("request", ROUTER), request)

        return publish

    def _key(self, run: str, conversation: str) -> RunKey:
        return RunKey.checked(run or new_run_id(), conversation or new_conversation_id(), self.tenant)

    async def watch(self, run: str, conversation: str, *, timeout: float = 300.0) -> AsyncIterator[StreamItem]:
        """A run that was asked for before, or elsewhere."""
        key = RunKey.checked(run, conversation, self.tenant)
        async for item in watch(self.bus, key, None, timeout):
            yield item

    async def cancel(self, run: str, conversation: str, *, reason: str = "") -> None:
        key = RunKey.checked(run, conversation, self.tenant)
        await append(self.bus, key.cancel, Cancel(by=self.user, reason=reason))

    async def feedback(self, reply: Reply, verdict: int, comment: str = "") -> None:
        """-1, 0 or 1."""
        key = RunKey.checked(reply.run, reply.conversation, self.tenant)
        await append(self.bus, key.step("feedback", "ledger"), Feedback(verdict=verdict, comment=comment, by=self.user))


def _seconds(timeout: timedelta | float) -> float:
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout


class Conversation:
    """A thread of questions with one id."""

    def __init__(self, client: Client, id: str) -> None:  # noqa: A002  # the field's own word
        self._client = client
        self.id = id

    async def ask(self, text: str, *, agent: str = "", timeout: timedelta | float = PATIENCE) -> Reply:
        return await self._client.ask(text, conversation=self.id, agent=agent, timeout=timeout)

    def stream(self, text: str, *, agent: str = "", timeout: timedelta | float = PATIENCE) -> AsyncIterator[StreamItem]:
        return self._client.stream(text, conversation=self.id, agent=agent, timeout=timeout)
