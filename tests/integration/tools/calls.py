"""Calls as a worker would issue them, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.conftest import wait_until
from trunkline.bus import Bus, append, fold
from trunkline.contracts.attempts import doubt_step
from trunkline.contracts.codec import Event, input_hash
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Approval, Call, Cancel, Decision, Fact, Note, Result, Started
from trunkline.contracts.subjects import CLIENT, RunKey

STEP = "1"


@dataclass
class OneCall:
    """One call in a run of its own."""

    bus: Bus
    tool: str
    arguments: dict[str, Any]
    key: RunKey = field(default_factory=lambda: RunKey.checked(new_run_id(), new_conversation_id()))

    async def issue(self, deadline: datetime | None = None) -> None:
        call = Call(agent="clerk", arguments=self.arguments, deadline=deadline)
        await append(self.bus, self.key.step("call", self.tool, STEP), call)

    async def events(self) -> list[Event]:
        return await fold(self.bus, self.key.everything)

    async def kinds(self) -> list[str]:
        return [event.subject.kind for event in await self.events()]

    async def of(self, kind: type[Fact]) -> list[Any]:
        return [event.fact for event in await self.events() if isinstance(event.fact, kind)]

    async def result(self, seconds: float = 40) -> Result:
        return await self.first(Result, seconds)  # type: ignore[no-any-return]

    async def first(self, kind: type[Fact], seconds: float = 40) -> Any:
        async def there() -> bool:
            return bool(await self.of(kind))

        await wait_until(there, f"{kind.__name__} of {self.tool}", seconds=seconds)
        return (await self.of(kind))[0]

    async def asked(self, seconds: float = 40) -> Approval:
        return await self.first(Approval, seconds)  # type: ignore[no-any-return]

    async def decide(self, verdict: Any, *, doubt: int = 0, value: Any = None, digest: str = "") -> None:
        step = doubt_step(STEP, doubt) if doubt else STEP
        digest = digest or input_hash(self.tool, self.arguments)
        decision = Decision(verdict=verdict, by="ada", arguments_hash=digest, value=value)
        await append(self.bus, self.key.step("decision", self.tool, step), decision)

    async def attempts(self) -> list[int]:
        return [started.attempt for started in await self.of(Started)]

    async def notes(self, what: str) -> list[dict[str, Any]]:
        return [note.data for note in await self.of(Note) if note.what == what]

    async def cancel(self) -> None:
        await append(self.bus, self.key.cancel, Cancel(by="ada"))

    async def answer(self) -> None:
        await append(self.bus, self.key.step("answer", CLIENT), Answer(text="never mind"))


def effects(book: Path) -> list[str]:
    """The calls whose effects are in the book."""
    return book.read_text().split() if book.exists() else []
